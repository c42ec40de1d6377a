package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/rootfs"
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

// openGate makes the directory that the guest sees as preinit.Dir: this
// program, and the gate where it will ask.
func openGate(root rootfs.Root) (*preinit.Gate, nspawn.Bind, error) {
	dir := filepath.Join(root.Dir, "gate")
	bind := nspawn.Bind{Source: dir, Target: preinit.Dir, ReadOnly: true}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, bind, err
	}
	if err := placeProgram(filepath.Join(dir, preinit.Program)); err != nil {
		return nil, bind, fmt.Errorf("give the guest the program of its gate: %w", err)
	}
	gate, err := preinit.Listen(dir, int(root.Users.Base))
	return gate, bind, err
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
