package nested

import (
	"regexp"
	"strings"
)

// tail keeps the last that is written to it.
type tail struct{ b []byte }

// tailSize is what a tail keeps of a long output, in bytes.
const tailSize = 64 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-tailSize):]
	return len(p), nil
}

// Lines are the last n lines.
func (t *tail) Lines(n int) string { return lastLines(string(t.b), n) }

// controls are what programs tell a terminal: colours, titles, positions.
var controls = regexp.MustCompile(`\x1b(\[[0-9;?!]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()\\]?[0-~])|[\x00-\x08\x0b-\x1a\x7f]`)

// lastLines are the last n lines of what a terminal was told, as text.
func lastLines(s string, n int) string {
	var lines []string
	for line := range strings.Lines(controls.ReplaceAllString(s, "")) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, "  "+line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
