package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/plain"
)

// Why tells why a container is as it is, the most likely cause of trouble
// first.
func (e *Engine) Why(ctx context.Context, n container.Name) (container.Diagnosis, error) {
	rec, err := e.Record(n)
	if err != nil {
		return container.Diagnosis{}, err
	}
	s, err := e.Status(n)
	if err != nil {
		return container.Diagnosis{}, err
	}
	d := container.Diagnosis{Name: n, State: s.State, Since: s.Since, Restarts: s.Restarts, Causes: []container.Cause{}}
	add := func(causes ...container.Cause) { d.Causes = append(d.Causes, causes...) }
	if e.installsUpdate(s) {
		add(cause(container.CauseUpdate, "the guest installs an update before anything else, and reboots then; timeoutStartSec does not count meanwhile"))
	}
	if !s.State.Alive() {
		if err := e.obstacle(rec, e.aroundNow()); err != nil {
			add(cause(container.CauseStart, "it cannot start now: "+err.Error()))
		}
	}
	if s.Reason != "" {
		add(cause(container.CauseEnd, "cause: "+plain.Text(s.Reason)))
	}
	if s.Failure != "" && s.Failure != s.Reason {
		add(cause(container.CauseEnd, "cause of the last restart: "+plain.Text(s.Failure)))
	}
	add(e.kernelCauses(s, rec)...)
	add(e.deviceCauses(rec.Spec)...)
	add(e.nspawnCause(s)...)
	for _, l := range s.Lost {
		add(cause(container.CauseLost, "it goes without "+l))
	}
	for _, c := range s.Pending {
		add(cause(container.CausePending, fmt.Sprintf("%s changes from %q to %q with the next start", c.Key, c.Old, c.New)))
	}
	if s.State == container.Running || s.State == container.Starting {
		add(e.failedUnits(ctx, n)...)
	}
	if s.State == container.Starting {
		add(e.startingUnits(ctx, n)...)
	}
	if h, err := e.Health(ctx, n); err == nil && h != nil && !h.OK {
		add(cause(container.CauseHealth, plain.Text(h.Trouble)))
	}
	add(e.unfinishedUnits(ctx, s)...)
	if s.State != container.Running && s.State != container.Paused {
		add(e.lastConsole(ctx, n)...)
	}
	slices.SortStableFunc(d.Causes, func(a, b container.Cause) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	return d, nil
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

func cause(k container.CauseKind, text string, lines ...string) container.Cause {
	return container.Cause{Kind: k, Text: text, Lines: lines}
}

// rank orders kinds of causes: what is there to see comes first, then what the
// kernel did, which explains much of what others say, then what they say.
func rank(k container.CauseKind) int {
	return slices.Index([]container.CauseKind{
		container.CauseUpdate, container.CauseStart, container.CauseMemory, container.CauseTasks, container.CauseEnd, container.CauseNspawn,
		container.CauseUnits, container.CauseHealth, container.CauseJobs, container.CauseDenied, container.CauseLost, container.CausePending, container.CauseConsole,
	}, k)
}

// nspawnCause is what systemd-nspawn complained of, unless that is the reason
// already.
func (e *Engine) nspawnCause(s container.Status) []container.Cause {
	if s.State == container.Stopped {
		return nil
	}
	said, err := os.ReadFile(e.Paths.Stderr(s.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []container.Cause{cause(container.CauseNspawn, "what systemd-nspawn said is not known: "+err.Error())}
	}
	var lines []string
	for _, l := range nspawn.Complaints(said) {
		if l = plain.Text(l); !strings.Contains(s.Reason, l) {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return []container.Cause{cause(container.CauseNspawn, "systemd-nspawn says:", lines...)}
}

// failedUnits asks the guest's systemd, and reads its journal. A guest without
// one, or that does not answer, has nothing to tell.
func (e *Engine) failedUnits(ctx context.Context, n container.Name) []container.Cause {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	b, code := e.ask(ctx, n, "systemctl", "--failed", "--plain", "--no-legend", "--no-pager")
	if code != 0 || len(b) == 0 {
		return nil
	}
	var out []string
	for line := range bytes.Lines(b) {
		unit, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		out = append(out, plain.Text(unit))
		_ = e.Logs(ctx, n, LogQuery{Units: []string{literally(unit)}, Last: unitLines}, func(l container.LogLine) {
			for text := range strings.SplitSeq(l.Message, "\n") {
				out = append(out, "  "+plain.Text(text))
			}
		})
	}
	return []container.Cause{cause(container.CauseUnits, "units of the guest that failed:", out...)}
}

// unitLines is how many lines of its log are shown of a unit that failed.
const unitLines = 3

// startingUnits are those that the guest's systemd is just starting: one of them
// keeps it from being ready.
func (e *Engine) startingUnits(ctx context.Context, n container.Name) []container.Cause {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	b, code := e.ask(ctx, n, "systemctl", "list-jobs", "--plain", "--no-legend", "--no-pager")
	units := runningJobs(b)
	if code != 0 || len(units) == 0 {
		return nil
	}
	return []container.Cause{cause(container.CauseJobs, "it waits for these units of the guest:", units...)}
}

// runningJobs are the units of lines such as "17 slow.service start running";
// other jobs wait for these.
func runningJobs(list []byte) []string {
	var out []string
	for line := range bytes.Lines(list) {
		f := strings.Fields(string(line))
		if len(f) == 4 && f[2] == "start" && f[3] == "running" {
			out = append(out, plain.Text(f[1]))
		}
	}
	return out
}

// literally is the pattern that matches only a unit's name: that has
// backslashes for what a path has.
func literally(unit string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(unit)
}

// ask runs a program in the guest, where that leaves no trace in its log, and
// returns the first 16 KiB that it writes.
func (e *Engine) ask(ctx context.Context, n container.Name, args ...string) ([]byte, int) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, guest.CodeFailed
	}
	defer null.Close()
	code := guest.CodeFailed
	b, err := listen(16<<10, func(w *os.File) {
		code, _ = e.Exec(ctx, n, guest.Command{Args: args, Stdin: null, Stdout: w, Stderr: null, Impatient: true, Way: guest.Direct})
	})
	if err != nil {
		return nil, guest.CodeFailed
	}
	return b, code
}

// lastConsole are the last lines of the console log.
func (e *Engine) lastConsole(ctx context.Context, n container.Name) []container.Cause {
	var out []string
	err := e.supervisor.Console(ctx, n, 10, func(_ time.Time, line []byte) { out = append(out, plain.Text(string(line))) }, nil)
	if err != nil || len(out) == 0 {
		return nil
	}
	return []container.Cause{cause(container.CauseConsole, "last lines of its console:", out...)}
}
