package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/test/mini-nixos"
)

const (
	noteClosure = "closure: a NixOS system that consists of more than 1,000 store paths, of which 300 are files, in an empty root with a range of user numbers of its own; what mounting such a root takes more with it than without, in the same round"
	notePaths   = "a bind mount for each path: made on a tmpfs, with the files and directories to mount on, and read-only each, by system calls of one process; no owners are mapped"
	noteService = "mount namespace of a service: what unshare(2) takes there, as for each unit of a guest with PrivateTmp= or ProtectSystem="
)

// measureClosure gives the rows of a guest's store of many paths.
func measureClosure(ctx context.Context, l *lab) ([]row, error) {
	systems, err := mininixos.Install(ctx, l.options.cache)
	if err != nil {
		return nil, err
	}
	large, err := closure.Nix{Program: filepath.Join(systems.Nix, "nix-store")}.Closure(ctx, container.StorePath(systems.Systems["large"]))
	if err != nil {
		return nil, err
	}
	store := rootfs.Store{Dir: large.Dir, Names: large.Names()}
	s, err := interleave(ctx, short*l.n, l.mountTrial(rootfs.Store{}, nil), l.mountTrial(store, nil), l.mountTrial(rootfs.Store{}, bindEach(store)))
	if err != nil {
		return nil, err
	}
	var own, bound samples
	for i, without := range s[0][0] {
		own, bound = append(own, s[1][0][i]-without), append(bound, s[2][0][i]-without)
	}
	return []row{
		{What: fmt.Sprintf("mount of a closure of %d paths", len(store.Names)), Berth: own, Absolute: 30, Notes: []string{noteClosure}},
		{What: "the same, against a bind mount for each path", Berth: own, Peer: bound, Notes: []string{notePaths}},
		{What: "mount namespace of a service in that guest, against a bind mount for each path", Berth: s[1][1], Peer: s[2][1], Ratio: 0.5, Notes: []string{noteService}},
	}, nil
}

// mountTrial mounts a root with a store, and what more mounts in it then. It
// gives the time of that, and of one more mount namespace.
func (l *lab) mountTrial(store rootfs.Store, more func(root string) error) trial {
	return func(ctx context.Context) ([]float64, error) {
		if err := rested(ctx); err != nil {
			return nil, err
		}
		var mounting, copying time.Duration
		err := onThread(func() error {
			r := rootfs.Root{Dir: l.path("mounted"), Users: rootfs.IDs{Base: 1 << 30, Size: container.IDRange}, Store: store}
			if err := errors.Join(os.MkdirAll(r.Dir, 0o755), unix.Unshare(unix.CLONE_NEWNS), rootfs.Isolate()); err != nil {
				return err
			}
			begun := time.Now()
			m, err := r.Mount()
			if err == nil && more != nil {
				err = more(m.Root)
			}
			mounting = time.Since(begun)
			if err != nil {
				return err
			}
			begun = time.Now()
			err = unix.Unshare(unix.CLONE_NEWNS)
			copying = time.Since(begun)
			return err
		})
		return []float64{ms(mounting), ms(copying)}, err
	}
}

// bindEach mounts each path of a store in a root, by itself.
func bindEach(store rootfs.Store) func(root string) error {
	return func(root string) error {
		dir := filepath.Join(root, "nix/store")
		if err := unix.Mount("bench", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return err
		}
		for _, name := range store.Names {
			if err := bindOne(filepath.Join(store.Dir, name), filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("mount %s: %w", name, err)
			}
		}
		return nil
	}
}

func bindOne(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(to, 0o755)
	} else {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err == nil {
		err = unix.Mount(from, to, "", unix.MS_BIND, "")
	}
	if err == nil {
		err = unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
	}
	return err
}
