// Package inotify raises the machine's limit of inotify instances while guests
// need it, and puts it back. All user namespaces that the host's root made
// count as root's, so that with the kernel's default of 128 the 18th guest
// never becomes ready.
package inotify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
)

// file bounds the inotify instances of a user.
const file = "/proc/sys/fs/inotify/max_user_instances"

// A guest with systemd takes 7 instances, a shim beside it 1; spare is for the
// host.
const (
	perGuest = 8
	spare    = 128
)

// raisedFile keeps the limit from before berth raised it, and what berth made
// of it. The limit is the machine's, so that this file does not depend on
// --root; it is there only while the limit is raised.
const raisedFile = "/run/berth/inotify.json"

type raised struct {
	Original int `json:"original"`
	Raised   int `json:"raised"`
}

// Reserve raises the limit if the guests that there are, and extra instances
// besides, need that. The control group of the guest that it is called for is
// there already.
func Reserve(h cgroup.Hierarchies, extra int) error {
	return locked(func(limit int) error {
		need := guests(h)*perGuest + spare + extra
		if limit >= need {
			return nil
		}
		var r raised
		if err := state.ReadJSON(raisedFile, &r); errors.Is(err, fs.ErrNotExist) {
			r.Original = limit
		} else if err != nil {
			return err
		}
		r.Raised = (need + 1023) / 1024 * 1024
		if err := os.MkdirAll(filepath.Dir(raisedFile), 0o700); err != nil {
			return err
		}
		return errors.Join(state.WriteRuntimeJSON(raisedFile, r), set(r.Raised))
	})
}

// Restore puts the limit back where no guest is left but for leaving many,
// whose control groups are still there. A limit that somebody else has changed
// meanwhile stays.
func Restore(h cgroup.Hierarchies, leaving int) error {
	return locked(func(limit int) error {
		var r raised
		err := state.ReadJSON(raisedFile, &r)
		switch {
		case errors.Is(err, fs.ErrNotExist) || guests(h) > leaving:
			return nil
		case err != nil:
			return err
		}
		if limit == r.Raised {
			if err := set(r.Original); err != nil {
				return err
			}
		}
		if err := os.Remove(raisedFile); err != nil {
			return err
		}
		_ = os.Remove(filepath.Dir(raisedFile)) // it may hold something else
		return nil
	})
}

// locked calls f with the limit. The file of the limit itself is the lock.
func locked(f func(limit int) error) error {
	lock, err := os.Open(file)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", file, err)
	}
	b, err := io.ReadAll(lock)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	return f(limit)
}

// guests counts the containers of all berths by their control groups: those
// beside shims, and those of systemd's units.
func guests(h cgroup.Hierarchies) int {
	count := 0
	for _, instance := range h.Group("").Children() {
		if state.IsInstance(instance) {
			count += len(h.Group(instance).Children())
		}
	}
	for _, unit := range h.Group("machine.slice").Children() {
		if instance, _, ok := strings.Cut(unit, "@"); ok && state.IsInstance(instance) {
			count++
		}
	}
	return count
}

// set sets the limit. Where /proc/sys is read-only, as in a container, it
// stays as it is: that matters from the 18th guest on, and doctor tells.
func set(n int) error {
	err := os.WriteFile(file, []byte(strconv.Itoa(n)), 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}
