package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-containers/berth/container"
)

// installDir is for what the machine's owner installs, runtimeDir for what is
// gone with the boot.
const (
	installDir = "/etc/systemd/system"
	runtimeDir = "/run/systemd/system"
)

// files are the units of the machine's own berth by their paths, but for those
// that a package brought.
func (s *Supervisor) files() map[string]string {
	out := map[string]string{}
	for unit, text := range Units(s.Program) {
		if !packaged(unit) {
			out[filepath.Join(installDir, unit)] = text
		}
	}
	return out
}

// Install implements supervise.Installer.
func (s *Supervisor) Install(ctx context.Context) ([]string, error) {
	if s.Paths.Root != "/" {
		return nil, &container.Error{Op: "install", Err: fmt.Errorf("containers below %s cannot start at boot", s.Paths.Root),
			Hint: "leave --root and BERTH_ROOT out", Code: container.CodeUsage}
	}
	if readOnly(installDir) {
		if s.Installed() {
			return nil, nil
		}
		return nil, errReadOnly("install", "true")
	}
	var done []string
	files := s.files()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		changed, err := writeIfChanged(path, files[path])
		if err != nil {
			return done, err
		}
		if changed {
			done = append(done, path)
		}
	}
	linked, err := ensureAlias(unitDirs(), installDir)
	if err != nil {
		return done, err
	}
	if linked != "" {
		done = append(done, linked)
	}
	if err := s.reload(ctx); err != nil {
		return done, err
	}
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		_, changes, err := l.units.EnableUnitFilesContext(ctx, []string{AutostartUnit}, false, true)
		for _, c := range changes {
			if c.Type == "symlink" {
				done = append(done, c.Filename)
			}
		}
		return err
	})
	if err != nil {
		return done, fmt.Errorf("enable %s: %w", AutostartUnit, err)
	}
	return done, s.reload(ctx)
}

// Uninstall implements supervise.Installer. Running containers go on.
func (s *Supervisor) Uninstall(ctx context.Context) ([]string, error) {
	if !s.Installed() {
		return nil, nil
	}
	if readOnly(installDir) {
		return nil, errReadOnly("uninstall", "false")
	}
	var done []string
	err := s.ask(ctx, func(ctx context.Context, l *link) error {
		changes, err := l.units.DisableUnitFilesContext(ctx, []string{AutostartUnit}, false)
		for _, c := range changes {
			if c.Type == "unlink" {
				done = append(done, c.Filename)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("disable %s: %w", AutostartUnit, err)
	}
	for _, unit := range slices.Sorted(maps.Keys(Units(s.Program))) {
		path := filepath.Join(installDir, unit)
		err := os.Remove(path)
		if err == nil {
			done = append(done, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return done, err
		}
	}
	unlinked, err := removeAlias(installDir)
	if unlinked != "" {
		done = append(done, unlinked)
	}
	return done, errors.Join(err, s.keepRunning(ctx), s.reload(ctx))
}

// keepRunning leaves, for this boot, the units of what runs: without its file a
// guest would be stopped with systemd's defaults, which kill all its processes
// at once.
func (s *Supervisor) keepRunning(ctx context.Context) error {
	alive, err := s.alive(ctx)
	if err != nil {
		return err
	}
	if len(alive) == 0 {
		return nil
	}
	_, err = s.ensureTemplate()
	for _, v := range s.services() {
		if v.runs(s.Paths) {
			_, unitErr := s.ensureUnit(v.unit, v.text)
			err = errors.Join(err, unitErr)
		}
	}
	return err
}

// Installed implements supervise.Installer: by berth install or by a package.
func (s *Supervisor) Installed() bool {
	for _, dir := range unitDirs() {
		if _, err := os.Stat(filepath.Join(dir, AutostartUnit)); err == nil {
			return true
		}
	}
	return false
}
