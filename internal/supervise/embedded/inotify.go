package embedded

import (
	"context"
	"errors"
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

// raised is the file inotify.json: the limit before berth raised it, and what
// berth made of it.
type raised struct {
	Original int `json:"original"`
	Raised   int `json:"raised"`
}

func (s *Supervisor) inotifyFile() string { return filepath.Join(s.Paths.Runtime(), "inotify.json") }

// reserveInotify raises the limit if one more guest needs that. The function
// it returns lowers it again when no guest is left.
func (s *Supervisor) reserveInotify() (release func() error, err error) {
	err = s.withInotify(func(limit, guests int) error {
		need := guests*perGuest + spare
		if limit >= need {
			return nil
		}
		var r raised
		if err := state.ReadJSON(s.inotifyFile(), &r); errors.Is(err, fs.ErrNotExist) {
			r.Original = limit
		} else if err != nil {
			return err
		}
		r.Raised = (need + 1023) / 1024 * 1024
		return errors.Join(state.WriteRuntimeJSON(s.inotifyFile(), r), setInotify(r.Raised))
	})
	return func() error { return s.withInotify(s.restoreInotify) }, err
}

// restoreInotify puts the limit back, unless somebody else has changed it.
func (s *Supervisor) restoreInotify(limit, guests int) error {
	var r raised
	if err := state.ReadJSON(s.inotifyFile(), &r); guests > 0 || errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if limit == r.Raised {
		if err := setInotify(r.Original); err != nil {
			return err
		}
	}
	return os.Remove(s.inotifyFile())
}

// withInotify calls f under a lock with the limit and the number of guests.
func (s *Supervisor) withInotify(f func(limit, guests int) error) error {
	lock, err := state.AwaitLock(context.Background(), filepath.Join(s.Paths.Locks(), ".inotify"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	b, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Paths.Runs())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f(limit, len(entries))
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
