package nixos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/mountinfo"
	"github.com/berth-containers/berth/internal/state"
)

// profile is the name of the profile in its directory.
const profile = "system"

// SystemLink leads to the system of the container, through its generation.
func (c Place) SystemLink() string { return filepath.Join(c.Profile, profile) }

// System is the current one of the profile. It need not be in the host's store.
func (c Place) System() (container.StorePath, error) {
	to, err := os.Readlink(c.SystemLink())
	if err != nil {
		return "", err
	}
	if p, err := container.ParseStorePath(to); err == nil {
		return p, nil
	}
	if to, err = os.Readlink(filepath.Join(c.Profile, filepath.Base(to))); err != nil {
		return "", err
	}
	p, err := container.ParseStorePath(to)
	if err != nil {
		return "", fmt.Errorf("%s leads to no store path: %w", c.SystemLink(), err)
	}
	return p, nil
}

// SetSystem makes p the profile's new generation, as nix-env --set does, unless
// it is the one that it has. A reader sees the old one or the new one.
func (c Place) SetSystem(p container.StorePath) error {
	if err := makeDirs(c.Profile); err != nil {
		return err
	}
	if current, err := c.System(); err == nil && current == p {
		return nil
	}
	number, err := c.lastGeneration()
	if err != nil {
		return err
	}
	generation := fmt.Sprintf("%s-%d-link", profile, number+1)
	if err := os.Symlink(string(p), filepath.Join(c.Profile, generation)); err != nil {
		return err
	}
	staging := filepath.Join(c.Profile, ".new-"+profile)
	if err := errors.Join(state.RemoveFile(staging), os.Symlink(generation, staging)); err != nil {
		return err
	}
	if err := os.Rename(staging, c.SystemLink()); err != nil {
		return err
	}
	return state.SyncDir(c.Profile)
}

// makeDirs makes a container's directory, and that of all of them, which nobody
// but root gets through.
func makeDirs(dir string) error {
	all := filepath.Dir(dir)
	if err := os.MkdirAll(filepath.Dir(all), 0o755); err != nil {
		return err
	}
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{{all, 0o700}, {dir, 0o755}} {
		if err := os.Mkdir(d.path, d.mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// maxGeneration is the greatest number that a generation is believed to have. A
// guest that nixos-container itself has run could write here: with a number that
// none can come after, there would be no further one.
const maxGeneration = 1 << 30

// lastGeneration is the greatest number of one.
func (c Place) lastGeneration() (int, error) {
	entries, err := os.ReadDir(c.Profile)
	if err != nil {
		return 0, err
	}
	last := 0
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), profile+"-")
		digits, link := strings.CutSuffix(digits, "-link")
		if n, err := strconv.Atoi(digits); ok && link && err == nil && n < maxGeneration {
			last = max(last, n)
		}
	}
	return last, nil
}

// UsesNix reports whether the guest itself has worked with Nix: it has made
// profiles, or roots, beside those of its system.
func (c Place) UsesNix() bool {
	entries, _ := os.ReadDir(c.Profile)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), profile) && !strings.HasPrefix(e.Name(), ".") {
			return true
		}
	}
	roots, _ := os.ReadDir(c.GCRoots)
	return len(roots) > 0
}

// Removable is why the guest's root could not be removed now; nil if it could.
func (c Place) Removable() error {
	mounts, err := mountinfo.Below(c.Root)
	if err == nil && len(mounts) > 0 {
		err = &container.Error{Subject: string(c.Name), Err: fmt.Errorf("something is mounted on %s", mounts[0]), Hint: "unmount it first: it may be of use to others"}
	}
	return err
}

// Remove removes the container's files, its declaration last. It is no error
// where some or all of them are not there.
func (c Place) Remove() error {
	if err := errors.Join(state.RemoveTree(c.Profile), state.RemoveTree(c.GCRoots), state.RemoveTree(c.Root), state.RemoveFile(c.Module), c.DropModule()); err != nil {
		return err
	}
	return state.RemoveFile(c.Conf)
}

// Undo gives a function that removes the profile, the root and the module, each
// unless it is there already.
func (c Place) Undo() func() error {
	var made []string
	for _, dir := range []string{c.Profile, c.Root, c.Module, c.stagedModule()} {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			made = append(made, dir)
		}
	}
	return func() error {
		var errs []error
		for _, dir := range made {
			errs = append(errs, state.RemoveTree(dir))
		}
		return errors.Join(errs...)
	}
}

// MakeRoot makes the guest's root directory if it is not there. Nobody but root
// gets to the roots of guests, whose users have numbers of the host's.
func (c Place) MakeRoot() error { return makeDirs(c.Root) }

// Shifted is the host's number of the guest's root in the root directory, or 0
// where that has the guest's own numbers: a systemd-nspawn whose file systems
// could not map owners has changed them.
func (c Place) Shifted() (uint32, error) {
	var st unix.Stat_t
	switch err := unix.Lstat(c.Root, &st); {
	case err == unix.ENOENT:
		return 0, nil
	case err != nil:
		return 0, &fs.PathError{Op: "lstat", Path: c.Root, Err: err}
	}
	const ids = container.IDRange
	if st.Uid < ids || st.Uid%ids != 0 { // some user of the guest's own
		return 0, nil
	}
	return st.Uid, nil
}
