package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/enrol"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// takeSystem sees to it that a container has a system for good, and what its
// guest's Nix is to be told of it.
func (e *Engine) takeSystem(ctx context.Context, n container.Name, s container.Spec, p container.StorePath) error {
	if err := e.closures.Take(ctx, n, p); err != nil || s.NixInGuest != container.NixOwn {
		return err
	}
	if err := e.hasNix(ctx, n, p); err != nil {
		return err
	}
	return e.closures.Register(ctx, n, p)
}

// hasNix makes sure that a system has the programs for a Nix of its guest's own,
// and is where that can have a store upon it.
func (e *Engine) hasNix(ctx context.Context, n container.Name, p container.StorePath) error {
	c, err := e.closures.Look(ctx, n, p)
	if err != nil {
		return err
	}
	if err := rootfs.Stackable(c.Dir); err != nil {
		return &container.Error{Err: fmt.Errorf("nixInGuest: %w", err), Hint: "put the store on a file system of its own, such as ext4, or use nixInGuest: daemon"}
	}
	if c.HasProgram(enrol.Program) {
		return nil
	}
	return &container.Error{Err: fmt.Errorf("nixInGuest: %s has no Nix: %s is missing", p.Short(), enrol.Program),
		Hint: "set nix.enable = true in its configuration, or leave nixInGuest out"}
}

// nixObstacle is why a guest could not have the Nix that s gives it; nil if it
// can.
func (e *Engine) nixObstacle(s container.Spec) error {
	switch s.NixInGuest {
	case container.NixDaemon:
		info, err := os.Stat(container.DaemonSocket)
		if err == nil && info.Mode()&fs.ModeSocket == 0 {
			err = fmt.Errorf("%s is not a socket", container.DaemonSocket)
		}
		if err != nil {
			return &container.Error{Err: fmt.Errorf("nixInGuest: the host's Nix daemon does not listen: %w", err),
				Hint: "systemctl start nix-daemon.socket starts it, or nix-daemon as root; nixInGuest: own needs none"}
		}
	case container.NixOwn:
		if err := e.keepsStore(s); err != nil {
			return err
		}
		mapped, err := e.probe.MappedLayers()
		if err != nil || mapped || s.PrivateUsers.Mode == container.UsersNo || s.PrivateUsers.Mode == container.UsersIdentity {
			return err
		}
		return &container.Error{Err: errors.New("nixInGuest: this kernel's overlays cannot map owners, which a store of the guest's own needs (Linux 5.19 can)"),
			Hint: "leave nixInGuest out, or set privateUsers: no"}
	}
	return nil
}

// keepsStore is why what a guest has in a store of its own could not be kept.
func (e *Engine) keepsStore(s container.Spec) error {
	if s.Ephemeral {
		return nil
	}
	dir, st, err := e.storage()
	if err != nil {
		return err
	}
	if name, bad := unfit[int64(st.Type)]; bad {
		return &container.Error{Err: fmt.Errorf("nixInGuest: %s is on %s, which cannot keep a store of the guest's own", dir, name),
			Hint: "put it on a file system such as ext4, or set ephemeral: true"}
	}
	return nil
}

// nixFits is why the Nix that is wanted in a guest does not go together with a
// step. A daemon that does not listen is of no matter to one that starts nothing.
func (e *Engine) nixFits(ctx context.Context, c plan.Wanted, s container.Step) error {
	if c.Spec.NixInGuest == container.NixDaemon && !s.Start && !s.Restart {
		return nil
	}
	if err := e.nixObstacle(c.Spec); err != nil || c.Spec.NixInGuest != container.NixOwn {
		return err
	}
	return e.hasNix(ctx, c.Name, c.System)
}

// nixNotes are what the owner of a guest with a Nix should know.
func nixNotes(s container.Spec) []string {
	if s.NixInGuest != container.NixDaemon {
		return nil
	}
	if s.PrivateUsers.Mode == container.UsersNo || s.PrivateUsers.Mode == container.UsersIdentity {
		return []string{"nixInGuest: with privateUsers: " + s.PrivateUsers.String() + " root in the guest is root to the host's Nix daemon, which trusts it as it does the host's own"}
	}
	return []string{"nixInGuest: to the host's Nix daemon the guest's users are numbers without a name: it serves them unless its allowed-users says otherwise, and trusts none of them, not even root"}
}

// usesDaemon reports whether the running guest of a container was given the host's
// Nix daemon. Most were not, which is found out without reading how they began.
func (e *Engine) usesDaemon(n container.Name) bool {
	if _, err := os.Lstat(launch.NixRoot(e.Paths, n)); err != nil {
		return false
	}
	l, err := e.launched(n)
	return err == nil && l != nil && l.Spec.NixInGuest == container.NixDaemon
}

// enrol has the own Nix of a running guest know a system that it sees.
func (e *Engine) enrol(ctx context.Context, t *state.Transition, p container.StorePath) error {
	n := t.Before.Name
	if t.Before.Spec.NixInGuest != container.NixOwn {
		return nil
	}
	registration, err := os.Open(e.closures.Registration(n, p))
	if err != nil {
		return err
	}
	defer registration.Close()
	if err := e.runSelf(ctx, n, "the registration", guest.Command{Args: []string{"enrol", string(p)}, Way: guest.Direct, Stdin: registration}); err != nil {
		return fmt.Errorf("tell the guest's Nix of %s: %w", p.Short(), err)
	}
	return nil
}

// ownSystem is the system to which a running guest has switched itself; empty
// where it has what the host gave it, or cannot have another one.
func (e *Engine) ownSystem(l *state.Launched, obs supervise.Observation) container.StorePath {
	if l.Spec.NixInGuest == container.NixNone || obs.State != container.Running {
		return ""
	}
	if t, err := e.Paths.ReadTransition(l.Name); t != nil || err != nil {
		return ""
	}
	g, err := guest.Open(obs.Leader, obs.Started, e.cgroups)
	if err != nil {
		return ""
	}
	defer g.Close()
	link, err := g.Readlink("run/current-system")
	if err != nil || link == string(l.System) {
		return ""
	}
	p, _ := container.ParseStorePath(link) // what is none is of no use to tell
	return p
}

// selfSwitched tells that the guest of a container has switched itself.
func (e *Engine) selfSwitched(n container.Name) []string {
	obs, err := e.supervisor.Observe(n)
	if err != nil {
		return nil
	}
	l, err := e.launched(n)
	if err != nil || l == nil {
		return nil
	}
	p := e.ownSystem(l, obs)
	if p == "" {
		return nil
	}
	return []string{fmt.Sprintf("the guest has switched itself to %s, and stays there until it is given another system", p.Short())}
}

// givenSystems are those of which the own store of a guest may need something.
func (e *Engine) givenSystems(n container.Name) ([]container.StorePath, error) {
	return state.ReadGiven(e.Paths.OwnStore(n))
}

// nixRootsLeft are roots for the host's Nix of containers that have gone.
func (e *Engine) nixRootsLeft() []leftover {
	entries, _ := os.ReadDir(launch.NixRoots(e.Paths))
	names, err := e.Names()
	if err != nil {
		return nil
	}
	var out []leftover
	for _, f := range entries {
		n, err := container.ParseName(f.Name())
		if err != nil || slices.Contains(names, n) {
			continue
		}
		out = append(out, leftover{what: filepath.Join(launch.NixRoots(e.Paths), f.Name()), remove: func(context.Context) (bool, error) {
			return e.unlessLocked(e.Paths.Lock(n), func() error {
				if !e.orphan(n) {
					return nil
				}
				return errors.Join(e.removeNixRoot(n), state.RemoveFile(e.Paths.Lock(n)))
			})
		}})
	}
	return out
}

// removeNixRoot gives up what the guest of a container had the host's Nix keep.
func (e *Engine) removeNixRoot(n container.Name) error {
	if err := state.RemoveTree(launch.NixRoot(e.Paths, n)); err != nil {
		return err
	}
	err := os.Remove(launch.NixRoots(e.Paths)) // after the last one
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
