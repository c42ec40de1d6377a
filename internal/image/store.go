package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Options say how a Store works. The zero value is good.
type Options struct {
	Events container.EventFunc               // told how imports go on; may be nil
	Log    *slog.Logger                      // nil discards
	Mirror string                            // URL of a Debian archive; "": the host's own
	Tool   func(name string) (string, error) // finds a program of the host; nil: exec.LookPath
}

// Store keeps images. Several processes may use one directory at a time.
type Store struct {
	dir  string
	opts Options
}

// Open uses the store at dir, an absolute path, which is made when it is
// first needed.
func Open(dir string, opts Options) *Store {
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if opts.Tool == nil {
		opts.Tool = exec.LookPath
	}
	return &Store{dir, opts}
}

// Image is a root file system in the store.
type Image struct {
	Digest  container.Digest `json:"digest"`
	Refs    []string         `json:"refs"`    // the references that it is the latest image of; sorted
	Size    int64            `json:"size"`    // bytes on disk
	Created time.Time        `json:"created"` // when it was imported
	Rootfs  string           `json:"rootfs"`  // absolute path of the tree
	OS      string           `json:"os"`      // how the guest calls itself, such as "Debian GNU/Linux 12 (bookworm)"; may be empty
}

// Rootfs is the tree of an image in the store at dir, whether it is there or
// not.
func Rootfs(dir string, d container.Digest) string { return Open(dir, Options{}).rootfs(d) }

func (s *Store) rootfs(d container.Digest) string { return filepath.Join(s.image(d), "rootfs") }

func (s *Store) images() string                  { return filepath.Join(s.dir, "sha256") }
func (s *Store) image(d container.Digest) string { return filepath.Join(s.images(), d.Hex()) }
func (s *Store) staging() string                 { return filepath.Join(s.dir, "staging") }
func (s *Store) refsFile() string                { return filepath.Join(s.dir, "refs.json") }

// prepare makes the directories of the store.
func (s *Store) prepare() error {
	for _, dir := range []string{s.dir, s.images(), s.staging(), filepath.Join(s.dir, "locks")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return os.Chmod(s.dir, 0o700) // whoever made it
}

// lock keeps others from changing what lies directly in the store. It is held
// for moments only, never during an import.
func (s *Store) lock(ctx context.Context) (*state.Lock, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	return state.AwaitLock(ctx, filepath.Join(s.dir, "locks", "store"))
}

// lockRef lets one import of ref run at a time. References share sixteen lock
// files, so that none has to be removed.
func (s *Store) lockRef(ctx context.Context, ref container.ImageRef) (*state.Lock, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(ref.String()))
	return state.AwaitLock(ctx, filepath.Join(s.dir, "locks", fmt.Sprintf("import-%x", sum[0]&0xf)))
}
