package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Log calls tell with what was asked for, in the order in which that ended, as
// far as it is kept. With live, it calls that then, and goes on with what comes
// until ctx ends.
func Log(ctx context.Context, paths state.Paths, tell func(container.Request), live func()) (err error) {
	path := paths.IngressLog()
	var w *fsnotify.Watcher
	if live != nil { // before reading, so that nothing is missed
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if w, err = watch(filepath.Dir(path)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.Close()) }()
	}
	r := &logReader{path: path, tell: tell}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.begin(); err != nil || live == nil {
		return err
	}
	live()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			return err
		case e := <-w.Events:
			if e.Name != path {
				continue
			}
		}
		if err := r.more(); err != nil {
			return err
		}
	}
}

// logReader reads the access log, over its changes of file.
type logReader struct {
	path string
	tell func(container.Request)
	file *os.File // nil: there is none yet
	rest []byte   // of a line whose end is not written yet
}

// begin reads the file of before, and the present one.
func (r *logReader) begin() (err error) {
	if r.file, err = openLogFile(r.path); err != nil {
		return err
	}
	if other, err := r.moved(r.path+".1", r.file); err != nil {
		return err
	} else if other {
		if err := r.old(); err != nil {
			return err
		}
	}
	if r.file == nil {
		return nil
	}
	return r.read(r.file)
}

func (r *logReader) old() error {
	f, err := openLogFile(r.path + ".1")
	if err != nil || f == nil {
		return err
	}
	err = errors.Join(r.read(f), f.Close())
	r.rest = nil
	return err
}

// more reads what has come, in a new file where there is one.
func (r *logReader) more() error {
	if r.file != nil {
		if err := r.read(r.file); err != nil {
			return err
		}
	}
	changed, err := r.moved(r.path, r.file)
	if err != nil || !changed {
		return err
	}
	if err := r.close(); err != nil {
		return err
	}
	if r.file, err = openLogFile(r.path); err != nil || r.file == nil {
		return err
	}
	return r.read(r.file)
}

// moved reports whether the file at path is another than f, which is nil for
// none.
func (r *logReader) moved(path string, f *os.File) (bool, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // another one is about to come
	} else if err != nil || f == nil {
		return err == nil, err
	}
	was, err := f.Stat()
	return err == nil && !os.SameFile(now, was), err
}

// openLogFile opens a file of the log; there may be none.
func openLogFile(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// read tells the whole lines that follow in f. What is none of a log is left
// out, such as the half of one whose writer was killed.
func (r *logReader) read(f *os.File) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		r.rest = append(r.rest, buf[:n]...)
		for {
			line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
			if !ok {
				break
			}
			var one container.Request
			if json.Unmarshal(line, &one) == nil {
				r.tell(one)
			}
			r.rest = rest
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (r *logReader) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file, r.rest = nil, nil
	return err
}
