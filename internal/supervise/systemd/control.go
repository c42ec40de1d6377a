package systemd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// controlDir is where systemd keeps, until the machine is switched off, what was
// set of units while they ran; see systemctl(1), set-property.
const controlDir = "/run/systemd/system.control"

// Configure implements supervise.Configurer, for the machine's own berth.
func (s *Supervisor) Configure(ctx context.Context, n container.Name) error {
	if s.Paths.Root != "/" {
		return nil
	}
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	return errors.Join(s.lift(ctx, n), s.configure(ctx, rec))
}

// lift removes the limits that SetLimits has given a run of the container. They
// would count for the next one too where its spec has none any more.
func (s *Supervisor) lift(ctx context.Context, n container.Name) error {
	removed, err := removeControls(filepath.Join(controlDir, s.unit(n)+".d"))
	if err != nil || !removed {
		return err
	}
	return s.reread(ctx, s.unit(n))
}

// removeControls removes the files of limits below dir, and it if it is empty
// then.
func removeControls(dir string) (removed bool, err error) {
	var errs []error
	for _, p := range properties(container.Limits{}) {
		err := os.Remove(filepath.Join(dir, "50-"+controlName(p.Name)+".conf"))
		if err == nil {
			removed = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if removed {
		_ = os.Remove(dir) // somebody may have set something else
	}
	return removed, errors.Join(errs...)
}

// controlName is what systemd calls the file of a property.
func controlName(property string) string {
	if property == "CPUQuotaPerSecUSec" {
		return "CPUQuota"
	}
	return property
}
