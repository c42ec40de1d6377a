package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/sieve"
	"github.com/berth-containers/berth/internal/state"
)

// LeaseOf is what a container gets of the network when it starts now.
func LeaseOf(paths state.Paths, rec *state.Record) (network.Lease, error) {
	networks, err := network.ReadNetworks(paths)
	if err != nil {
		return network.Lease{}, err
	}
	return network.LeaseOf(paths, rec, networks)
}

// preparation is what a guest's first process does before its init runs, and
// what it needs for that.
type preparation struct {
	task   preinit.Task
	bind   nspawn.Bind
	gate   *preinit.Gate // nil: nothing is asked
	env    []string      // for systemd-nspawn
	learns string        // the key of the filters that the gate lets us see
}

// needed reports whether the guest has a first process of berth.
func (p preparation) needed() bool { return p.gate != nil || p.task.Filters != "" || p.task.Nix != "" }

// prepare makes the directory that the guest sees as preinit.Dir: this program,
// the gate where a guest with a network asks, the system call filters, if
// they are known, and what a Nix of the guest's own is told. c and env are what systemd-nspawn is told otherwise.
func prepare(root rootfs.Root, paths state.Paths, rec *state.Record, program host.Nspawn, c nspawn.Config, env []string, networked bool) (preparation, error) {
	p := preparation{task: preinit.Task{Init: []string{c.Init.Path}, Announce: !c.Init.Notifies()}}
	filters, learns, err := filtersFor(paths, program, c, env)
	if err != nil {
		return p, err
	}
	p.learns = learns
	asks := networked || learns != ""
	own := root.Store.Own != nil
	if !asks && filters == nil && !own {
		return p, nil
	}
	dir := filepath.Join(root.Dir, "gate")
	p.bind = nspawn.Bind{Source: dir, Target: preinit.Dir, ReadOnly: true}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return p, err
	}
	if err := placeProgram(filepath.Join(dir, preinit.Program)); err != nil {
		return p, fmt.Errorf("give the guest its first program: %w", err)
	}
	if own {
		if err := placeRegistration(paths, rec, dir, &p.task); err != nil {
			return p, err
		}
	}
	if filters != nil {
		p.task.Filters, p.env = filters.Sum(), []string{"SYSTEMD_SECCOMP=0"}
		if err := os.WriteFile(filepath.Join(dir, preinit.Filters), filters, 0o644); err != nil {
			return p, err
		}
	}
	if p.task.Gateless = !asks; asks {
		p.gate, err = preinit.Listen(dir, int(root.Users.Base))
	}
	return p, err
}

// Admit answers at a guest's gate until its init runs: it attaches the network
// of l, if that has any links, and keeps the guest's filters under the key learns,
// if there is one. See network.Admit for the rest.
func Admit(ctx context.Context, paths state.Paths, l network.Lease, learns string, gate *preinit.Gate, attached func(), tell func(error)) error {
	if learns != "" {
		gate.Meet = func(pid int) {
			// Without the next guest starts as slowly as this one.
			_ = sieve.Store{Dir: paths.Sieves()}.Learn(ctx, learns, pid)
		}
	}
	if len(l.Links) == 0 {
		return gate.Serve(func(*os.File) (preinit.Settings, error) { return preinit.Settings{}, nil }, tell)
	}
	return network.Admit(ctx, paths, l, gate, attached, tell)
}

// placeProgram makes the file of this program appear at path, or a copy of it
// where the file has been replaced or not everybody may run it.
func placeProgram(path string) error {
	const self = "/proc/self/exe"
	running, err := os.Stat(self)
	if err != nil {
		return err
	}
	file, err := os.Readlink(self)
	if err != nil {
		return err
	}
	there, err := os.Stat(strings.TrimSuffix(file, " (deleted)"))
	if err != nil || !os.SameFile(running, there) || running.Mode()&0o005 != 0o005 {
		return copyProgram(self, path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.NewSyscallError("mount", unix.Mount(file, path, "", unix.MS_BIND, "")))
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}
