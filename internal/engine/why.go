package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/plain"
)

// Why tells in a few lines why a container is as it is, the most likely cause
// of trouble first.
func (e *Engine) Why(ctx context.Context, n container.Name) ([]string, error) {
	rec, err := e.Record(n)
	if err != nil {
		return nil, err
	}
	s, err := e.Status(n)
	if err != nil {
		return nil, err
	}
	out := []string{summary(s)}
	if s.Reason != "" {
		out = append(out, "cause: "+s.Reason)
	}
	if e.installsUpdate(s) {
		out = append(out, "the guest installs an update before anything else, and reboots then; timeoutStartSec does not count meanwhile")
	}
	if !s.State.Alive() {
		if err := e.ready(rec); err != nil {
			out = append(out, "it cannot start now: "+err.Error())
		}
	}
	if u := e.supervisor.Usage(n); u.OOMKills > 0 {
		out = append(out, fmt.Sprintf("the kernel killed processes for want of memory, %d times (limits.memoryMax is %s)", u.OOMKills, memoryMax(rec.Spec)))
	}
	for _, l := range s.Lost {
		out = append(out, "it goes without "+l)
	}
	for _, c := range s.Pending {
		out = append(out, fmt.Sprintf("%s changes from %q to %q with the next start", c.Key, c.Old, c.New))
	}
	if s.State == container.Running {
		out = append(out, e.failedUnits(ctx, n)...)
	}
	if s.State != container.Running && s.State != container.Paused {
		out = append(out, e.lastConsole(ctx, n)...)
	}
	return out, nil
}

// installsUpdate reports whether a guest is not ready because of an offline
// update; see systemd.offline-updates(7).
func (e *Engine) installsUpdate(s container.Status) bool {
	if s.State != container.Starting {
		return false
	}
	l, err := e.launched(s.Name)
	return err == nil && l != nil && l.Updates
}

func summary(s container.Status) string {
	line := fmt.Sprintf("%s is %s", s.Name, s.State)
	if !s.Since.IsZero() {
		line += " since " + s.Since.Local().Format(time.DateTime)
	}
	if s.Restarts > 0 {
		line += fmt.Sprintf(", restarted %d times after failures", s.Restarts)
	}
	return line
}

func memoryMax(s container.Spec) string {
	if s.Limits.MemoryMax == 0 {
		return "not set"
	}
	return s.Limits.MemoryMax.String()
}

// failedUnits asks the guest's systemd. A guest without one, or that does not
// answer, has nothing to tell.
func (e *Engine) failedUnits(ctx context.Context, n container.Name) []string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	b, code := e.ask(ctx, n, "systemctl", "--failed", "--plain", "--no-legend", "--no-pager")
	if code != 0 || len(b) == 0 {
		return nil
	}
	out := []string{"units of the guest that failed:"}
	for line := range bytes.Lines(b) {
		unit, _, _ := strings.Cut(plain.Text(string(line)), " ")
		out = append(out, "  "+unit)
		if strings.HasPrefix(unit, "-") {
			continue
		}
		log, _ := e.ask(ctx, n, "journalctl", "--unit="+unit, "--lines=3", "--output=cat", "--no-pager")
		for l := range bytes.Lines(log) {
			out = append(out, "    "+plain.Text(string(l)))
		}
	}
	return out
}

// ask runs a program in the guest and returns the first 16 KiB that it writes.
func (e *Engine) ask(ctx context.Context, n container.Name, args ...string) ([]byte, int) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, guest.CodeFailed
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.Close()
		return nil, guest.CodeFailed
	}
	defer null.Close()
	text := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, 16<<10))
		text <- b
		_, _ = io.Copy(io.Discard, r)
	}()
	code, _ := e.Exec(ctx, n, guest.Command{Args: args, Stdin: null, Stdout: w, Stderr: null})
	w.Close()
	return <-text, code
}

// lastConsole are the last lines of the console log.
func (e *Engine) lastConsole(ctx context.Context, n container.Name) []string {
	var out []string
	err := e.supervisor.Console(ctx, n, 10, func(_ time.Time, line []byte) { out = append(out, "  "+plain.Text(string(line))) }, nil)
	if err != nil || len(out) == 0 {
		return nil
	}
	return append([]string{"last lines of its console:"}, out...)
}
