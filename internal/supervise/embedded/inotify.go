package embedded

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

	"github.com/berth-containers/berth/internal/state"
)

// inotifyLimit bounds the inotify instances of a user. All user namespaces
// that the host's root made count as root's, so that with the kernel's default
// of 128 the 18th guest never becomes ready.
const inotifyLimit = "/proc/sys/fs/inotify/max_user_instances"

// A guest with systemd takes 7 instances, its shim 1; spare is for the host.
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

// reserveInotify raises the limit if one more guest needs that. The function
// it returns lowers it again when no guest of any berth is left.
func (s *Supervisor) reserveInotify() (release func() error, err error) {
	err = s.withInotify(func(limit, guests int) error {
		need := guests*perGuest + spare
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
		return errors.Join(state.WriteRuntimeJSON(raisedFile, r), setInotify(r.Raised))
	})
	return func() error { return s.withInotify(restoreInotify) }, err
}

// RestoreSettings puts the machine's settings back that killed shims could not.
func (s *Supervisor) RestoreSettings() error { return s.withInotify(restoreInotify) }

// restoreInotify puts the limit back, unless somebody else has changed it.
func restoreInotify(limit, guests int) error {
	var r raised
	if err := state.ReadJSON(raisedFile, &r); guests > 0 || errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if limit == r.Raised {
		if err := setInotify(r.Original); err != nil {
			return err
		}
	}
	if err := os.Remove(raisedFile); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(raisedFile)) // it may hold something else
	return nil
}

// withInotify calls f with the limit and the number of guests of all berths on
// this machine. The file of the limit itself is the lock.
func (s *Supervisor) withInotify(f func(limit, guests int) error) error {
	lock, err := os.Open(inotifyLimit)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", inotifyLimit, err)
	}
	b, err := io.ReadAll(lock)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	return f(limit, s.allGuests())
}

// allGuests counts the containers of all berths by their cgroups.
func (s *Supervisor) allGuests() int {
	count := 0
	for _, instance := range s.Cgroups.Group("").Children() {
		if state.IsInstance(instance) {
			count += len(s.Cgroups.Group(instance).Children())
		}
	}
	return count
}

// setInotify sets the limit. Where /proc/sys is read-only, as in a container,
// it stays as it is: that matters from the 18th guest on, and doctor tells.
func setInotify(n int) error {
	err := os.WriteFile(inotifyLimit, []byte(strconv.Itoa(n)), 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}
