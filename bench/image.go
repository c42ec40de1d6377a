package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/state"
)

// tree is an image of berth's: the reference that berth is given, and the
// root file system that the peers copy or mount.
type tree struct {
	ref    string
	rootfs string
	size   int64 // bytes on disk
}

// debianTree is the image that most is measured with, imported once.
func (l *lab) debianTree(ctx context.Context) (*tree, error) {
	if l.debian != nil {
		return l.debian, nil
	}
	l.say("import %s", l.image)
	var err error
	l.debian, err = l.importImage(ctx, l.image)
	return l.debian, err
}

// importImage imports an image, in a cgroup of the lab's: an import that
// outlives a killed bench is found there.
func (l *lab) importImage(ctx context.Context, ref string) (*tree, error) {
	g := l.peerGroup().Child("import")
	if err := g.Create(); err != nil {
		return nil, err
	}
	b, _, err := l.timedAs(ctx, g.Start, l.options.berth, "--root", l.paths.Root, "image", "import", "--json", ref)
	if err != nil {
		return nil, err
	}
	var imported []image.Image
	if err := json.Unmarshal(b, &imported); err != nil {
		return nil, err
	}
	if len(imported) != 1 {
		return nil, fmt.Errorf("import %s: berth says %s", ref, b)
	}
	return &tree{ref: ref, rootfs: imported[0].Rootfs, size: imported[0].Size}, nil
}

// bigSize is what an image has at least for the row of new containers.
const bigSize = 304 << 20

// bigTree is the Debian image with more files, imported from a tar file.
func (l *lab) bigTree(ctx context.Context) (*tree, error) {
	small, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	l.say("make an image of %d MB", bigSize>>20)
	dir, tar := l.path("big"), l.path("big.tar")
	if _, _, err := l.timed(ctx, "cp", "-a", small.rootfs, dir); err != nil {
		return nil, err
	}
	if err := pad(filepath.Join(dir, "usr/share/bench"), bigSize-small.size); err != nil {
		return nil, err
	}
	if _, _, err := l.timed(ctx, "tar", "-C", dir, "--numeric-owner", "--xattrs", "-cf", tar, "."); err != nil {
		return nil, err
	}
	if err := state.RemoveTree(dir); err != nil {
		return nil, err
	}
	return l.importImage(ctx, "tar:"+tar)
}

// padFile is the size of the files that an image is padded with.
const padFile = 64 << 10

// pad fills a new directory with files of random bytes, size in all.
func pad(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b := make([]byte, padFile)
	for i := int64(0); i*padFile < size; i++ {
		rand.Read(b)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// newCopy is a peer on a plain copy of an image, whose owners systemd-nspawn
// itself has shifted to the peer's range during a first boot.
func (l *lab) newCopy(ctx context.Context, t *tree) (*bare, error) {
	b, err := l.newBare("")
	if err != nil {
		return nil, err
	}
	b.config.Root = filepath.Join(b.dir, "root")
	if _, _, err := l.timed(ctx, "cp", "-a", t.rootfs, b.config.Root); err != nil {
		return nil, err
	}
	shift := *b
	shift.config.ChownRoot = true
	_, err = shift.cycle(ctx)
	return b, err
}

// newEphemeral is a peer that boots a copy of the directory of another one,
// made by systemd-nspawn at each start.
func (l *lab) newEphemeral(of *bare) *bare {
	b := *of
	b.extra = []string{"--ephemeral"}
	return &b
}

// makeContainers makes stopped containers NAME0 and up with these settings.
func (l *lab) makeContainers(ctx context.Context, name string, n int, t *tree, settings ...string) error {
	for i := range n {
		args := append([]string{"create", fmt.Sprintf("%s%d", name, i), "--image", t.ref}, settings...)
		if _, _, err := l.run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
