package systemd

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// On NixOS /etc/systemd/system leads into the store: units are what the host's
// configuration says, and what berth writes itself is for this boot.

// readOnly reports whether nobody can write to a directory that is there.
func readOnly(dir string) bool { return errors.Is(unix.Access(dir, unix.W_OK), unix.EROFS) }

// errReadOnly says who installs and removes units there.
func errReadOnly(op, enable string) error {
	return &container.Error{Op: op, Err: fmt.Errorf("%s is read-only", installDir),
		Hint: "on NixOS, say services.berth.enable = " + enable + " in the configuration of the host"}
}

// Prepare implements supervise.Preparer: it writes what containers have of
// their own in their units, where that does not outlive the boot, so that
// systemd alone can start any of them.
func (s *Supervisor) Prepare(ctx context.Context) error {
	if !s.volatile() {
		return nil
	}
	names, err := s.Paths.Names()
	if err != nil {
		return err
	}
	changed := false
	for _, n := range names {
		rec, err := state.ReadRecord(s.Paths.Container(n))
		if err != nil {
			continue // it is told of when that one is started
		}
		written, err := s.writeDropIn(rec)
		if err != nil {
			return container.Named(n, err)
		}
		changed = changed || written
	}
	if !changed {
		return nil
	}
	return s.reload(ctx)
}

// volatile reports whether the drop-ins of this machine's containers are gone
// after a boot.
func (s *Supervisor) volatile() bool {
	return s.Paths.Root == "/" && s.ownDir() != installDir
}

// writeDropIn makes the drop-in of a container's unit as its spec wants it.
func (s *Supervisor) writeDropIn(rec *state.Record) (changed bool, err error) {
	patient := *rec
	if updatesOffline(s.Paths, rec) {
		patient.Spec.TimeoutStartSec = container.Infinity
	}
	return writeIfChanged(s.dropIn(rec.Name), DropInText(s.Paths, &patient))
}

// ownDirIn is where berth puts what it writes itself: what belongs to the
// machine's berth stays, if it can; what belongs to another root ends with the
// boot.
func ownDirIn(root, install string) string {
	if root == "/" && !readOnly(install) {
		return install
	}
	return runtimeDir
}
