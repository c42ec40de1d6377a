package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// File systems on which an overlay cannot keep changes; see statfs(2).
var unfit = map[int64]string{unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "NFS", 0x01021997: "9p"}

func (e *Engine) checkFileSystem() []container.Finding {
	dir, st, err := e.storage()
	if err != nil {
		return finding("storage", container.Bad, err.Error(), "")
	}
	return storageFinding(dir, st)
}

// storageFinding is whether a file system can hold containers.
func storageFinding(dir string, st unix.Statfs_t) []container.Finding {
	if name, bad := unfit[int64(st.Type)]; bad {
		return finding("storage", container.Bad, fmt.Sprintf("%s is on %s, which cannot hold containers", dir, name),
			"put berth on another file system: mount one there, or use --root")
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return finding("storage", container.Bad, fmt.Sprintf("the file system with %s is mounted read-only", dir), "mount it writable; if nobody has mounted it so, the kernel has, after an error of the disk that dmesg shows")
	}
	free := st.Bavail * uint64(st.Bsize) >> 20
	if free < 1024 {
		return finding("storage", container.Warn, fmt.Sprintf("%s has %d MiB free", dir, free), "make room: berth image prune removes images that no container uses")
	}
	return finding("storage", container.Good, fmt.Sprintf("%s, %d MiB free", dir, free), "")
}

// storage is where containers lie, or are to lie below, and its file system.
func (e *Engine) storage() (dir string, st unix.Statfs_t, err error) {
	dir = existing(e.Paths.Containers())
	if err = unix.Statfs(dir, &st); err != nil {
		err = fmt.Errorf("%s: %w", dir, err)
	}
	return dir, st, err
}

// existing is the directory, or the first above it that there is.
func existing(dir string) string {
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// checkMapping tries whether owners can be mapped in what guests see of the
// host: their roots, and what is bound into them.
func (e *Engine) checkMapping() []container.Finding {
	var out []container.Finding
	add := func(s container.Severity, text, remedy string) {
		out = append(out, container.Finding{Check: "id-mapped mounts", Severity: s, Text: text, Remedy: remedy})
	}
	if mapped, err := e.probe.MappedLayers(); err == nil && mapped {
		for _, dir := range slices.Compact([]string{existing(e.Paths.Images()), existing(e.Paths.Containers())}) {
			if err := rootfs.Mappable(dir, false); err != nil {
				add(container.Bad, fmt.Sprintf("%s: %v", dir, err), "put it on a file system that can, such as ext4, XFS or btrfs")
			}
		}
	}
	for _, source := range e.boundSources() {
		if err := rootfs.Mappable(source, true); err != nil && !errors.Is(err, os.ErrNotExist) {
			remedy := "move it to a file system that can, such as ext4, XFS or btrfs"
			if _, ok := cgroup.NodeAt(source); ok {
				remedy = "have it in allowedDevices instead of bindMounts: the guest gets a node of its own then"
			}
			add(container.Warn, fmt.Sprintf("%s, which is bound into guests: %v; they see its owners as nobody", source, err), remedy)
		}
	}
	if out == nil {
		return finding("id-mapped mounts", container.Good, "in all file systems in use", "")
	}
	return out
}

// boundSources are the bind mounts' sources of all containers whose owners are
// mapped, each once.
func (e *Engine) boundSources() []string {
	sources := map[string]bool{}
	for _, rec := range e.records() {
		if m := rec.Spec.PrivateUsers.Mode; m == container.UsersNo || m == container.UsersIdentity {
			continue
		}
		for _, b := range rec.Spec.BindMounts {
			sources[b.HostPath] = true
		}
	}
	return slices.Sorted(maps.Keys(sources))
}

// records are those of all containers that can be read.
func (e *Engine) records() []*state.Record {
	names, _ := e.Names()
	var out []*state.Record
	for _, n := range names {
		if rec, err := e.record(n); err == nil {
			out = append(out, rec)
		}
	}
	return out
}

func (e *Engine) checkContainers(a around) []container.Finding {
	names, err := e.Names()
	if err != nil {
		return finding("containers", container.Bad, err.Error(), "")
	}
	out := finding("containers", container.Good, fmt.Sprintf("%d", len(names)), "")
	for _, n := range names {
		s, err := e.Status(n)
		switch {
		case errors.Is(err, container.ErrNotFound): // gone since
		case err != nil:
			out = append(out, container.Finding{Check: "container " + string(n), Severity: container.Bad, Text: err.Error(),
				Remedy: e.unreadable(n, err)})
		case !s.State.Alive():
			out = append(out, e.checkStart(n, a)...)
		case s.State == container.Unsupervised:
			out = append(out, container.Finding{Check: "container " + string(n), Severity: container.Warn, Text: "it runs, but its supervisor was killed",
				Remedy: fmt.Sprintf("berth restart %s, or berth stop %s", n, n)})
		}
	}
	return out
}

// unreadable is what to do about a container of which nothing can be told, for
// err. Nobody is told to remove what its guest has written without knowing.
func (e *Engine) unreadable(n container.Name, err error) string {
	if v, ok := errors.AsType[*state.VersionError](err); ok && v.Newer() {
		return "a newer berth has made it: install that one again"
	}
	if _, recordErr := e.record(n); recordErr != nil {
		return fmt.Sprintf("bring %s back from a backup; what the guest has written is in that directory, and berth destroy %s removes it all", filepath.Join(e.Paths.Container(n), state.SpecFile), n)
	}
	if known, ok := errors.AsType[*container.Error](err); ok {
		return known.Hint
	}
	return ""
}

// checkStart says why a container that does not run could not start.
func (e *Engine) checkStart(n container.Name, a around) []container.Finding {
	rec, err := e.record(n)
	if err != nil {
		return nil // it has just been removed
	}
	err = e.obstacle(rec, a)
	if err == nil {
		return nil
	}
	remedy := ""
	if known, ok := errors.AsType[*container.Error](err); ok {
		remedy = known.Hint
	}
	return finding("container "+string(n), container.Warn, "it cannot start now: "+err.Error(), remedy)
}
