package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/berth-containers/berth/container"
)

// run runs berth and gives its answer and how long it took, from the start of
// the process to its end.
func (l *lab) run(ctx context.Context, args ...string) (answer []byte, took time.Duration, err error) {
	return l.timed(ctx, l.options.berth, append([]string{"--root", l.paths.Root}, args...)...)
}

// timed runs a program with files as its streams: a pipe would be measured
// too.
func (l *lab) timed(ctx context.Context, program string, args ...string) (answer []byte, took time.Duration, err error) {
	start := (*exec.Cmd).Start
	if l.host != nil {
		start = l.host.start
	}
	return l.timedAs(ctx, start, program, args...)
}

// timedAs is timed for a program that is started by start.
func (l *lab) timedAs(ctx context.Context, start func(*exec.Cmd) error, program string, args ...string) (answer []byte, took time.Duration, err error) {
	out, errOut := l.path("stdout"), l.path("stderr")
	var files []*os.File
	for _, path := range []string{out, errOut} {
		f, err := os.Create(path)
		if err != nil {
			return nil, 0, err
		}
		defer f.Close()
		files = append(files, f)
	}
	cmd := command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	begun := time.Now()
	if err = start(cmd); err == nil {
		err = cmd.Wait()
	}
	took = time.Since(begun)
	if err != nil {
		b, _ := os.ReadFile(errOut)
		return nil, took, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(b)))
	}
	answer, err = os.ReadFile(out)
	return answer, took, err
}

// command is a program that is asked to end, and killed later, when ctx ends.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// list is what berth says of all containers.
func (l *lab) list(ctx context.Context) ([]container.Status, error) {
	b, _, err := l.run(ctx, "ls", "--json")
	if err != nil {
		return nil, err
	}
	var all []container.Status
	return all, json.Unmarshal(b, &all)
}

// leader is the PID of the init of a running container.
func (l *lab) leader(ctx context.Context, name string) (int, error) {
	all, err := l.list(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if string(s.Name) == name && s.Leader != 0 {
			return s.Leader, nil
		}
	}
	return 0, fmt.Errorf("%s does not run", name)
}

// allRun is an error unless n containers run.
func (l *lab) allRun(ctx context.Context, n int) error {
	all, err := l.list(ctx)
	if err != nil {
		return err
	}
	running := 0
	for _, s := range all {
		if s.State == container.Running {
			running++
		}
	}
	if running != n {
		return fmt.Errorf("%d containers run, not %d", running, n)
	}
	return nil
}

// settleLimit is the time in which a guest has to have booted completely.
const settleLimit = 30 * time.Second

// settle waits until a guest that said READY=1 has nothing left to start, so
// that the work of its boot is not measured with what comes next.
func (l *lab) settle(ctx context.Context, leader int) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	// It fails for a degraded system, which has settled as well.
	_, _, err := l.timed(ctx, "nsenter", "-t", fmt.Sprint(leader), "-a", "systemctl", "is-system-running", "--wait")
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// berthCycle starts an existing container and stops it, and gives the times of
// both.
func (l *lab) berthCycle(name string) trial {
	return func(ctx context.Context) ([]float64, error) {
		if err := rested(ctx); err != nil {
			return nil, err
		}
		_, start, err := l.run(ctx, "start", name)
		if err != nil {
			return nil, err
		}
		leader, err := l.leader(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(l.settle(ctx, leader), rested(ctx)); err != nil {
			return nil, err
		}
		_, stop, err := l.run(ctx, "stop", name)
		return []float64{ms(start), ms(stop)}, err
	}
}
