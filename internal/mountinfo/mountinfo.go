// Package mountinfo reads the table of mounts; see proc_pid_mountinfo(5).
package mountinfo

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// MaxLine is the longest line in bytes: those of overlays have the paths of all
// their layers.
const MaxLine = 1 << 20

// Below are the places below the directory dir, and it itself, on which
// something is mounted in this mount namespace, in the order of the mounts.
func Below(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, MaxLine)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if at := Unescape(fields[4]); at == dir || strings.HasPrefix(at, strings.TrimSuffix(dir, "/")+"/") {
			out = append(out, at)
		}
	}
	return out, lines.Err()
}

// Unescape undoes what the kernel writes in paths for spaces, tabs, line breaks
// and backslashes: a backslash and three octal digits.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
