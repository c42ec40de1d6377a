package image

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/archive"
)

// dirSource is a directory of the host. Its digest is that of the stream that
// archive.Write makes of it.
type dirSource struct {
	path, store string
	report      reporter
}

func (d dirSource) fingerprint(ctx context.Context) (string, error) {
	root, err := d.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	return archive.Fingerprint(ctx, root)
}

// open refuses a directory that holds the store, which would grow by its own
// content for ever.
func (d dirSource) open() (*os.Root, error) {
	path, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return nil, err
	}
	if store, err := filepath.EvalSymlinks(d.store); err == nil {
		if rel, err := filepath.Rel(path, store); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return nil, errHoldsStore
		}
	}
	return os.OpenRoot(path)
}

func (d dirSource) fill(ctx context.Context, st *stage) (container.Digest, error) {
	root, err := d.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	var writing sync.WaitGroup
	defer writing.Wait()
	r, w := io.Pipe()
	defer r.Close()
	writing.Go(func() {
		_, err := archive.Write(ctx, w, root, archive.WriteOptions{
			Progress: func(n int64) { d.report.send("copying", n, 0) },
		})
		w.CloseWithError(err)
	})
	digest, err := unpack(ctx, r, st)
	if err != nil {
		return "", err
	}
	d.report.end("copying", 0)
	return digest, nil
}
