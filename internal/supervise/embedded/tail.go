package embedded

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/berth-containers/berth/container"
)

// Console implements supervise.Recorder.
func (s *Supervisor) Console(ctx context.Context, n container.Name, last int, line func(time.Time, []byte), follow func()) error {
	path := s.Paths.Log(n)
	var w *fsnotify.Watcher
	if follow != nil { // before reading, so that nothing is missed
		var err error
		if w, err = watchLog(path); err != nil {
			return err
		}
		defer w.Close()
	}
	t := &tail{path: path, print: line}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		t.file = f
		err = t.begin(last)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := t.read(); err != nil || follow == nil {
		t.flush()
		return err
	}
	follow()
	t.live = true
	return t.follow(ctx, w)
}

// watchLog watches the directory of a log, which need not be there yet.
func watchLog(path string) (*fsnotify.Watcher, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := w.Add(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// skipTo puts f at the beginning of its last n lines, all of them if n is
// negative, and returns where that is.
func skipTo(f *os.File, n int) (int64, error) {
	if n < 0 {
		return 0, nil
	}
	var starts []int64
	at, atStart := int64(0), true
	for r := bufio.NewReader(f); ; {
		part, err := r.ReadSlice('\n')
		if len(part) > 0 && atStart {
			starts = append(starts, at)
		}
		at += int64(len(part))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
		atStart = err == nil
	}
	from := at
	if len(starts) > 0 && n > 0 {
		from = starts[max(0, len(starts)-n)]
	}
	return f.Seek(from, io.SeekStart)
}

// tail reads a file as it grows.
type tail struct {
	path    string
	file    *os.File // nil until there is one
	rest    []byte   // the beginning of a line whose end is not there yet
	at      int64    // where that begins
	live    bool     // lines are read as they are written
	marks   marks
	written time.Time // when the log was written to last
	print   func(time.Time, []byte)
}

// begin goes to the last lines of the log.
func (t *tail) begin(last int) error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	t.written, t.marks = info.ModTime(), readMarks(t.path)
	t.at, err = skipTo(t.file, last)
	return err
}

// line prints a line that takes size bytes of the log.
func (t *tail) line(line []byte, size int) {
	when := time.Now()
	if !t.live {
		when = t.marks.time(t.at, t.written)
	}
	t.at += int64(size)
	t.print(when, bytes.TrimRight(line, "\r"))
}

// read prints the whole lines that have come.
func (t *tail) read() error {
	if t.file == nil {
		return nil
	}
	if info, err := t.file.Stat(); err == nil { // emptied, as the log is when it has grown long
		if at, err := t.file.Seek(0, io.SeekCurrent); err == nil && at > info.Size() {
			if _, err := t.file.Seek(0, io.SeekStart); err != nil {
				return err
			}
		}
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := t.file.Read(buf)
		t.rest = append(t.rest, buf[:n]...)
		t.lines()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// maxLine is how much of a line without end is kept.
const maxLine = 64 << 10

func (t *tail) lines() {
	for {
		line, rest, ok := bytes.Cut(t.rest, []byte("\n"))
		if !ok && len(t.rest) < maxLine {
			return
		}
		t.line(line, len(t.rest)-len(rest))
		t.rest = rest
	}
}

func (t *tail) flush() {
	if len(t.rest) > 0 {
		t.line(t.rest, len(t.rest))
		t.rest = nil
	}
}

func (t *tail) follow(ctx context.Context, w *fsnotify.Watcher) error {
	for {
		select {
		case <-ctx.Done():
			t.flush()
			return nil
		case err := <-w.Errors:
			return err
		case e := <-w.Events:
			if e.Name != t.path {
				continue
			}
		}
		if t.file == nil {
			f, err := os.Open(t.path)
			if err != nil {
				continue
			}
			defer f.Close()
			t.file = f
		}
		if err := t.read(); err != nil {
			return err
		}
	}
}
