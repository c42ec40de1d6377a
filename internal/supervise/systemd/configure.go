package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// The directories of systemd.unit(5) in which a template may be installed.
func unitDirs() []string {
	return []string{installDir, runtimeDir, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// ownDir is where berth puts what it writes itself.
func (s *Supervisor) ownDir() string { return ownDirIn(s.Paths.Root, installDir) }

func (s *Supervisor) dropIn(n container.Name) string {
	return filepath.Join(s.ownDir(), s.unit(n)+".d", "50-berth.conf")
}

// configure makes the unit files as the container wants them, and has systemd
// know them where they have changed.
func (s *Supervisor) configure(ctx context.Context, rec *state.Record) error {
	template, err := s.ensureTemplate()
	if err != nil {
		return err
	}
	if hasAlias(s.Paths, rec) {
		if _, err := ensureAlias(unitDirs(), runtimeDir); err != nil { // which systemd sees by itself
			return err
		}
	}
	if _, err := os.Stat(s.dropIn(rec.Name)); errors.Is(err, fs.ErrNotExist) {
		if err := s.Prepare(ctx); err != nil { // once for all, since systemd reads all units again for it
			return err
		}
	}
	dropIn, err := s.writeDropIn(rec)
	if err != nil {
		return err
	}
	if !template && !dropIn {
		return nil
	}
	return s.reread(ctx, s.unit(rec.Name), s.dropIn(rec.Name))
}

// updatesOffline reports whether the guest is going to install an update while
// it boots; see systemd.offline-updates(7). That berth run asks for more time
// then is not enough: systemd forgets it when it reads its units again.
func updatesOffline(p state.Paths, rec *state.Record) bool {
	return !rec.Spec.Ephemeral && boot.UpdatePending(p.Changed(rec))
}

// reread has systemd know a unit of which files have changed. It reads by itself
// what it does not hold, such as the unit of a container that does not run. To
// have it read all units again takes ten times as long, and holds up everybody.
func (s *Supervisor) reread(ctx context.Context, unit string, dropIns ...string) error {
	props, err := s.some(ctx, unit, "Unit.LoadState", "Unit.NeedDaemonReload", "Unit.DropInPaths")
	if err != nil {
		return err
	}
	if upToDate(props, dropIns) {
		return nil
	}
	return s.reload(ctx)
}

// upToDate reports whether systemd holds a unit as its files are, of which these
// are some. It does not see in all versions that a first drop-in is missing.
func upToDate(props map[string]any, dropIns []string) bool {
	stale, known := props["NeedDaemonReload"].(bool)
	read, _ := props["DropInPaths"].([]string)
	missing := func(path string) bool { return !slices.Contains(read, path) }
	return known && !stale && text(props, "LoadState") == "loaded" && !slices.ContainsFunc(dropIns, missing)
}

// reloadLimit is how long systemd may take to read all units again, as
// systemctl has it.
const reloadLimit = 3 * time.Minute

func (s *Supervisor) reload(ctx context.Context) error {
	err := s.askFor(ctx, reloadLimit, func(ctx context.Context, l *link) error { return l.units.ReloadContext(ctx) })
	if err != nil {
		return fmt.Errorf("have systemd read its units: %w", err)
	}
	return nil
}

// ensureTemplate writes the template unit for this boot if nobody installed
// one.
func (s *Supervisor) ensureTemplate() (changed bool, err error) {
	return s.ensureUnit(Template(s.Paths), TemplateText(s.Paths, s.Program))
}

// ensureUnit writes a unit for this boot if nobody installed it.
func (s *Supervisor) ensureUnit(name, text string) (changed bool, err error) {
	for _, dir := range unitDirs() {
		if dir == runtimeDir {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return false, nil
		}
	}
	return writeIfChanged(filepath.Join(runtimeDir, name), text)
}

// writeIfChanged replaces a file by text, unless it is that already.
func writeIfChanged(path, text string) (changed bool, err error) {
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	err = state.WriteRuntimeFile(path, []byte(text), 0o644) // several berths may write the same
	return err == nil, err
}

// SetLimits implements supervise.Grouper: now, and in the drop-in for later.
func (s *Supervisor) SetLimits(n container.Name, l container.Limits) error {
	ctx := context.Background()
	rec, err := state.ReadRecord(s.Paths.Container(n))
	if err != nil {
		return err
	}
	if err := s.configure(ctx, rec); err != nil {
		return err
	}
	err = s.ask(ctx, func(ctx context.Context, link *link) error {
		return link.units.SetUnitPropertiesContext(ctx, s.unit(n), true, properties(l)...)
	})
	if err != nil && !noSuchUnit(err) {
		return fmt.Errorf("limit unit: %w", err)
	}
	return state.SetLostLimits(s.Paths.Run(n), lostLimits(s.Cgroups, l))
}

// properties are limits for a running unit. What is not limited is set to
// what the template has.
func properties(l container.Limits) []dbus.Property {
	orMost := func(n uint64) uint64 {
		if n == 0 {
			return math.MaxUint64
		}
		return n
	}
	tasks := l.TasksMax
	if tasks == 0 {
		tasks = 16384
	}
	quota, weight := uint64(math.MaxUint64), uint64(math.MaxUint64)
	if l.CPUQuota != 0 {
		quota = uint64(l.CPUQuota) * 10_000 // microseconds per second
	}
	if l.IOWeight != 0 {
		weight = uint64(l.IOWeight)
	}
	property := func(name string, v uint64) dbus.Property {
		return dbus.Property{Name: name, Value: godbus.MakeVariant(v)}
	}
	return []dbus.Property{
		property("MemoryMax", orMost(uint64(l.MemoryMax))), property("CPUQuotaPerSecUSec", quota),
		property("TasksMax", tasks), property("IOWeight", weight),
	}
}

// Forget implements supervise.Keeper. Where systemd still holds the unit, as one
// that others are ordered after, the next of this name is not up to date.
func (s *Supervisor) Forget(n container.Name) error {
	_, err := removeControls(filepath.Join(controlDir, s.unit(n)+".d"))
	return errors.Join(err, os.RemoveAll(filepath.Dir(s.dropIn(n))))
}

// Kept implements supervise.Keeper: units that are not at rest, and runtime
// directories.
func (s *Supervisor) Kept() ([]container.Name, error) {
	found, err := s.alive(context.Background())
	if err != nil {
		return nil, err
	}
	return supervise.Kept(s.Paths, found)
}

// alive are the names of containers whose units are not at rest.
func (s *Supervisor) alive(ctx context.Context) ([]string, error) {
	var units []dbus.UnitStatus
	err := s.ask(ctx, func(ctx context.Context, l *link) (err error) {
		units, err = l.units.ListUnitsByPatternsContext(ctx, []string{"active", "activating", "deactivating"}, []string{s.Paths.Instance() + "@*.service"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	var found []string
	for _, u := range units {
		found = append(found, strings.TrimSuffix(strings.TrimPrefix(u.Name, s.Paths.Instance()+"@"), ".service"))
	}
	return found, nil
}
