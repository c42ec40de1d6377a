package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dirSource is a cache in a directory. It reads nothing outside of it.
type dirSource struct{ path string }

func (d dirSource) open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	if strings.Contains(name, "://") {
		return nil, 0, fmt.Errorf("%w: it has its archive outside the directory", ErrCorrupt)
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	// Whoever may write to the cache must not make us wait for a pipe.
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it is not a regular file")}
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}
