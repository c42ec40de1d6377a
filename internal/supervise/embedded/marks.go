package embedded

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"time"
)

// A console log has no times in it, since systemd-nspawn writes what the guest
// writes. Beside it, in NAME.log.times, the shim keeps how long the log was
// when: at the start of a guest and each time that it looks and finds more. So
// a line's time is known to within calm.

// mark is how long the log was at a time.
type mark struct {
	size int64
	at   time.Time
}

// maxMarks is how long the file of marks may become, in bytes, before the log
// is cut with it.
const maxMarks = 1 << 20

func marksFile(log string) string { return log + ".times" }

// String is a line of the file: two numbers.
func (m mark) String() string { return fmt.Sprintf("%d %d\n", m.size, m.at.UnixMicro()) }

// marks are those of a log, in the order in which they were made.
type marks []mark

// readMarks reads those of a log. A log without any, as of an older berth, has
// lines whose times are not known.
func readMarks(log string) marks {
	b, err := os.ReadFile(marksFile(log))
	if err != nil {
		return nil
	}
	var out marks
	for line := range bytes.Lines(b) {
		var m mark
		var micro int64
		if _, err := fmt.Sscanf(string(line), "%d %d\n", &m.size, &micro); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			break // the last is being written
		}
		m.at = time.UnixMicro(micro)
		out = append(out, m)
	}
	return out
}

// time is about when the byte at an offset was written, or a little before;
// written is when the log was written to last.
func (m marks) time(offset int64, written time.Time) time.Time {
	i := sort.Search(len(m), func(i int) bool { return m[i].size > offset })
	if i < len(m) {
		written = m[i].at
	}
	if i == 0 {
		return written
	}
	// It came behind the mark before, and not earlier than the shim's last look.
	if earliest := written.Add(-calm); earliest.After(m[i-1].at) {
		return earliest
	}
	return m[i-1].at
}
