package nspawn

import "strings"

// LastWords is what a systemd-nspawn that failed, or the berth that was to
// become it, said on its error stream: at most the last 1,000 bytes as one
// line.
func LastWords(stderr []byte) string {
	var lines []string
	for line := range strings.Lines(string(stderr[max(0, len(stderr)-1000):])) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "berth: ")
		if line != "" && !strings.Contains(line, harmless) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// harmless is part of what systemd-nspawn says where /run is not in memory.
const harmless = "Attempted to remove disk file system under"
