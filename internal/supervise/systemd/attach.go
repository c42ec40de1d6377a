package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// leaveAtGate starts `berth attach NAME`, which answers at the guest's gate
// after this process has become systemd-nspawn. It is systemd's child, not that
// of systemd-nspawn, which waits for none but its own.
func leaveAtGate(paths state.Paths, n container.Name, gate *preinit.Gate) error {
	f, err := gate.File()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", "--root", paths.Root, "attach", string(n))
	cmd.Env = []string{"GOMAXPROCS=1", "PATH=" + os.Getenv("PATH")}
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.ExtraFiles = []*os.File{f} // Attach has its number
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start berth attach: %w", err)
	}
	return errors.Join(cmd.Process.Release(), f.Close())
}

// AtGate reports whether leaveAtGate has started this process.
func AtGate() bool { return supervise.Given(3, unix.S_IFSOCK) }

// Attach is the command `berth attach NAME`. It ends when the guest's init runs,
// or with the unit.
func Attach(ctx context.Context, paths state.Paths, n container.Name) error {
	unix.CloseOnExec(3)
	gate, err := preinit.Inherited(os.NewFile(3, "gate"))
	if err != nil {
		return err
	}
	launched, err := state.ReadLaunched(paths.Run(n))
	if err != nil {
		return err
	}
	lease, err := launch.LeaseOf(paths, &launched.Record)
	if err != nil {
		return err
	}
	say := func(why error) { fmt.Fprintln(os.Stderr, "berth:", why) }
	// A guest runs without names and ingress too: doctor and status tell that
	// they are missing.
	attached := func() {
		if err := serve(ctx, paths); err != nil {
			say(err)
		}
	}
	admit := func() error {
		_ = launch.Admit(ctx, paths, lease, launched.Learns, gate, attached, say) // the guest ends with an error, whose reason is what this says, once
		return nil
	}
	if slices.ContainsFunc(lease.Links, func(l network.Link) bool { return l.Kind == network.Moved }) {
		// The guest's namespace is pinned where the host sees it, and not only
		// this unit.
		return namespace.InMounts(1, admit)
	}
	return admit()
}

// detach takes down the network of a guest that does not run any more. What
// pins a guest's namespace is mounted where the host sees it; `berth settle` is
// in its unit's mounts.
func (s *Supervisor) detach(ctx context.Context, n container.Name) error {
	return namespace.InMounts(1, func() error { return network.Detach(ctx, s.Paths, n) })
}
