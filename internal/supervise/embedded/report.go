package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
)

// report is what a shim says to the process that started it, in lines: "ok" as
// soon as the container's process exists, "ready" when the guest is, or what
// went wrong. Others learn the same from the status file; to watch that costs
// the 15 ms which the kernel takes to close an inotify instance.
type report struct {
	file  *os.File
	lines *bufio.Reader
}

// hear waits for the first line of a report, and keeps the report for Await if
// there is more to come.
func (s *Supervisor) hear(n container.Name, r *report) error {
	line, err := r.lines.ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case line == "ok":
		if old, ok := s.reports.Swap(n, r); ok {
			old.(*report).file.Close()
		}
		return nil
	case line != "":
		return errors.Join(errors.New(line), r.file.Close())
	default:
		return errors.Join(fmt.Errorf("the shim ended without a word (%w)", err), r.file.Close())
	}
}

// awaitReport waits for the next line of the report that this process has of
// n's shim, or its end. Without a report it returns at once.
func (s *Supervisor) awaitReport(ctx context.Context, n container.Name) error {
	v, ok := s.reports.LoadAndDelete(n)
	if !ok {
		return nil
	}
	r := v.(*report)
	defer r.file.Close()
	stop := context.AfterFunc(ctx, func() { _ = r.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = r.lines.ReadString('\n') // whatever it says, or if it says no more, is to be seen now
	return context.Cause(ctx)
}
