package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
)

// source is where an image comes from.
type source interface {
	// fingerprint tells cheaply whether the source has changed. The error
	// matches fs.ErrNotExist where it is gone.
	fingerprint(ctx context.Context) (string, error)
	// fill puts the tree into the stage and names it by its content.
	fill(ctx context.Context, st *stage) (container.Digest, error)
}

func (s *Store) source(ref container.ImageRef) source {
	report := reporter{s.opts.Events, ref.String()}
	switch ref.Kind {
	case container.ImageTar:
		xz, err := s.opts.Tool("xz")
		if err != nil {
			xz = "" // the decoder in Go
		}
		return tarSource{ref.Arg, xz, report}
	case container.ImageDir:
		return dirSource{ref.Arg, s.dir, report}
	default:
		return debianSource{suite: ref.Arg, mirror: s.opts.Mirror, tool: s.opts.Tool, report: report}
	}
}

// reporter sends the events of one import.
type reporter struct {
	events  container.EventFunc
	subject string
}

func (r reporter) send(phase string, done, total int64) {
	r.events.Send(container.Event{Subject: r.subject, Phase: phase, Done: done, Total: total})
}

func (r reporter) end(phase string, done int64) {
	r.events.Send(container.Event{Subject: r.subject, Phase: phase, Done: done, Total: done, Ended: true})
}

// Bounds on an image, far beyond any that is of use.
const (
	maxImageBytes   = 256 << 30
	maxImageEntries = 8 << 20
)

// unpack extracts the tar stream r into the stage and names it by its bytes.
func unpack(ctx context.Context, r io.Reader, st *stage) (container.Digest, error) {
	root, err := os.OpenRoot(st.rootfs())
	if err != nil {
		return "", err
	}
	defer root.Close()
	h := sha256.New()
	opts := archive.Options{MaxBytes: maxImageBytes, MaxEntries: maxImageEntries}
	if _, err := archive.Extract(ctx, io.TeeReader(r, h), root, opts); err != nil {
		return "", err
	}
	return digestOf(h), nil
}

func digestOf(h hash.Hash) container.Digest {
	return container.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}
