package engine

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/journal"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// journals say where the journals of a container are.
type journals struct {
	places   []journal.Place
	machines []string // the IDs that the guest may have; others are not its own
	closers  []func() error
}

func (j *journals) close() {
	for _, c := range j.closers {
		_ = c() // they were only read
	}
}

// journals are those of a guest as it sees them itself, or of one that does not
// run what is on disk.
func (e *Engine) journals(rec *state.Record) (*journals, error) {
	obs, err := e.supervisor.Observe(rec.Name)
	if err != nil {
		return nil, err
	}
	if obs.Leader != 0 {
		j, err := e.journalsInside(rec, obs)
		if !errors.Is(err, guest.ErrEnded) && !errors.Is(err, guest.ErrNoRoot) {
			return j, err
		}
	}
	return e.journalsOnDisk(rec)
}

// journalsInside are the journals of a running guest; see guest.Open for the
// errors where it has hardly begun, or ended.
func (e *Engine) journalsInside(rec *state.Record, obs supervise.Observation) (*journals, error) {
	g, err := guest.Open(obs.Leader, obs.Started, e.cgroups)
	if err != nil {
		return nil, err
	}
	j := &journals{closers: []func() error{g.Close}}
	j.add(g.Root(), journal.Persistent)
	j.add(g.Root(), journal.Volatile)
	j.know(journal.MachineID(g.Root()), rec.MachineID)
	return j, nil
}

// journalsOnDisk are the journals that are left of a guest that does not run.
func (e *Engine) journalsOnDisk(rec *state.Record) (*journals, error) {
	j := &journals{}
	base := ""
	if rec.Digest != "" {
		base = image.Rootfs(e.Paths.Images(), rec.Digest)
	}
	changes := ""
	if !rec.Spec.Ephemeral {
		changes = e.Paths.Changed(rec)
	}
	root, path := changes, journal.Persistent
	if source, rest, ok := bound(rec, journal.Persistent); ok {
		root, path = source, rest
	}
	if root == "" {
		return j, nil
	}
	f, err := j.open(root)
	if f == nil {
		return j, err
	}
	j.add(f, path)
	j.know(rec.MachineID)
	for _, dir := range []string{changes, base} {
		if f, err := j.open(dir); f != nil && err == nil {
			j.know(journal.MachineID(f))
		}
	}
	return j, nil
}

// bound is where a path of the guest lies on the host, if it is in a bind
// mount: the mount's source, and the path in that.
func bound(rec *state.Record, path string) (source, rest string, ok bool) {
	longest := ""
	for target := range rec.Spec.BindMounts {
		if (path == target || strings.HasPrefix(path, target+"/")) && len(target) > len(longest) {
			longest = target
		}
	}
	if longest == "" {
		return "", "", false
	}
	return rec.Spec.BindMounts[longest].HostPath, "/" + strings.TrimPrefix(path, longest), true
}

// open opens a root directory, if it is there.
func (j *journals) open(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	j.closers = append(j.closers, f.Close)
	return f, nil
}

func (j *journals) add(root *os.File, path string) {
	j.places = append(j.places, journal.Place{Root: root, Path: path})
}

func (j *journals) know(ids ...string) {
	for _, id := range ids {
		if id != "" && !slices.Contains(j.machines, id) {
			j.machines = append(j.machines, id)
		}
	}
}
