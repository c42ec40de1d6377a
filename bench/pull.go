package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/test/mini-nixos"
)

const (
	notePull = "pull: a closure of 1 GiB in 200 store paths with some 25,000 files, from a cache in a directory, signed and packed with zstd, into an empty store: `berth nix pull`, and `nix copy --from` with the same key. " +
		"Both check signatures, hashes and sizes; berth also waits until all is on the disk, and nix does not"
	noteTar    = "the same bytes: one tar file of these trees, packed with zstd; `zstd -d | tar x` checks nothing"
	noteSynced = "on the disk: with syncfs(2) after it"
)

// pulls is how often a closure is pulled at most: each time writes 1 GiB.
const pulls = 5

// measurePull gives the rows of a closure from a binary cache.
func measurePull(ctx context.Context, l *lab) (rows []row, err error) {
	systems, err := mininixos.Install(ctx, l.options.cache)
	if err != nil {
		return nil, err
	}
	nix, err := exec.LookPath("nix")
	if err != nil {
		nix = filepath.Join(systems.Nix, "nix")
	}
	l.say("make a closure of %d MB", packagesSize>>20)
	p, err := l.newPackages(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, state.RemoveTree(p.dir)) }()
	// Nix keeps what it knows of caches.
	if err := os.Setenv("XDG_CACHE_HOME", l.path("nix-cache")); err != nil {
		return nil, err
	}
	target := l.path("pulled")
	s, err := interleave(ctx, min(l.n, pulls),
		l.unpack(target, l.options.berth, "--root", target, "nix", "pull", "file://"+p.cache, string(p.top), "--trusted-public-key", p.key),
		l.unpack(target, nix, "--extra-experimental-features", "nix-command", "--option", "build-users-group", "", "--option", "trusted-public-keys", p.key,
			"copy", "--from", "file://"+p.cache, "--to", "local?root="+target, string(p.top)),
		l.unpack(target, "sh", "-c", fmt.Sprintf("zstd -dcq %s | tar -xC %s", p.tar, target)))
	if err != nil {
		return nil, err
	}
	own, copied, tar := s[0], s[1], s[2]
	return []row{
		{What: "pull of a closure of 1 GiB, against nix copy", Berth: own[0], Peer: copied[0], Ratio: 1 / 1.5, Notes: []string{notePull}},
		{What: "pull of a closure of 1 GiB, against zstd -d into tar x", Berth: own[0], Peer: tar[0], Ratio: 1.3, Notes: []string{noteTar}},
		{What: "pull of a closure of 1 GiB, on the disk, against nix copy", Berth: own[1], Peer: copied[1], Ratio: 1 / 1.5, Notes: []string{noteSynced}},
		{What: "pull of a closure of 1 GiB, on the disk, against zstd -d into tar x", Berth: own[1], Peer: tar[1], Ratio: 1.3},
	}, nil
}

// unpack runs a program that fills the directory target, and gives the time of
// that, and the time until it is on the disk.
func (l *lab) unpack(target, program string, args ...string) trial {
	return func(ctx context.Context) ([]float64, error) {
		if err := errors.Join(os.MkdirAll(target, 0o755), synced(target)); err != nil {
			return nil, err
		}
		if err := rested(ctx); err != nil {
			return nil, err
		}
		_, took, err := l.timed(ctx, program, args...)
		begun := time.Now()
		err = errors.Join(err, synced(target))
		after := time.Since(begun)
		return []float64{ms(took), ms(took + after)}, errors.Join(err, state.RemoveTree(target))
	}
}

// synced waits until the file system of a directory has nothing to write.
func synced(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
