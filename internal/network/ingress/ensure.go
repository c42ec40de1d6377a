package ingress

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network/serving"
	"github.com/berth-containers/berth/internal/state"
)

// Arguments are the command that is the process, for berth.
func Arguments(paths state.Paths) []string { return []string{"--root", paths.Root, "ingress", "serve"} }

// serverOf is the process that answers.
func serverOf(paths state.Paths) serving.Process {
	return serving.Process{Purpose: "ingress", Paths: paths, Lock: paths.IngressLock(), Needed: func() bool { return Needed(paths) }, MostPause: mostPause}
}

const mostPause = 30 * time.Second

// Runs reports whether the process answers for the instance, or is about to.
func Runs(paths state.Paths) bool { return serverOf(paths).Runs() }

// PID is that of the process that answers for the instance, or 0.
func PID(paths state.Paths) int {
	server, err := serverOf(paths).Open()
	if err != nil {
		return 0
	}
	defer server.Close()
	return server.PID
}

// Needed reports whether a lease has a name that somebody has to answer for.
func Needed(paths state.Paths) bool {
	needed, err := needs(paths)
	return needed || err != nil // then the process says what is wrong
}

// Ensure has a process answer for the instance, unless one does already or no
// lease needs it. The process runs program, in a session and a control group of
// its own. It follows the leases, so that nobody has to wait for it.
func Ensure(paths state.Paths, h cgroup.Hierarchies, program string) error {
	if !Needed(paths) || Runs(paths) {
		return nil
	}
	log, err := openLog(paths)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, Arguments(paths)...)
	cmd.Stderr = log
	if err := serverOf(paths).Start(h, cmd); err != nil {
		return fmt.Errorf("start berth ingress: %w", err)
	}
	return nil
}

// LeaveGroup takes this process out of the group that Ensure started it in, and
// removes that, unless another process that takes over is there.
func LeaveGroup(paths state.Paths, h cgroup.Hierarchies) error { return serverOf(paths).Leave(h) }

// Leftovers says, for people, what a process left that was killed as the last
// one, or "".
func Leftovers(paths state.Paths, h cgroup.Hierarchies) string {
	if Runs(paths) || Needed(paths) || !serverOf(paths).Group(h).Exists() {
		return ""
	}
	return "the cgroup of berth ingress"
}

// Sweep removes what Leftovers finds, unless a process ends its last requests
// there.
func Sweep(paths state.Paths, h cgroup.Hierarchies) (bool, error) {
	return serverOf(paths).RemoveGroup(h)
}

// openLog is where the process says what goes wrong, beside the access log,
// where systemd does not keep it.
func openLog(paths state.Paths) (*os.File, error) {
	path := paths.IngressLog() + ".errors"
	l, err := openAccess(path)
	if err != nil {
		return nil, err
	}
	if l.size > maxAccess {
		err = l.rotate()
	}
	return l.file, err
}

// Keep has a process answer for the instance for as long as the container n has
// a lease, and starts it again when it ends. Any number may do so at once. It
// returns when ctx ends, or when the lease is gone.
func Keep(ctx context.Context, paths state.Paths, h cgroup.Hierarchies, program string, n container.Name) {
	serverOf(paths).Keep(ctx, n, func() error { return Ensure(paths, h, program) }, func(err error) { fmt.Fprintln(os.Stderr, "berth:", err) })
}
