package nspawn

import "strings"

// Complaints are the lines that mean something among the last 1,000 bytes that
// a systemd-nspawn, or the berth that was to become it, wrote to its error
// stream.
func Complaints(stderr []byte) []string {
	var out []string
	for line := range strings.Lines(string(stderr[max(0, len(stderr)-1000):])) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "berth: ")
		if line != "" && !strings.Contains(line, harmless) {
			out = append(out, line)
		}
	}
	return out
}

// LastWords are the complaints of one that failed, as one line.
func LastWords(stderr []byte) string { return strings.Join(Complaints(stderr), "; ") }

// harmless is part of what systemd-nspawn says where /run is not in memory.
const harmless = "Attempted to remove disk file system under"
