package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/fsnotify/fsnotify"
)

// A console log that has grown past maxLog bytes becomes NAME.log.1.
const (
	maxLog = 8 << 20
	calm   = time.Second // between looks at a log that is being written
)

// console is the log of a guest's console. systemd-nspawn writes into the file
// itself, so that the guest goes on if the shim does not.
type console struct {
	file  *os.File
	watch *fsnotify.Watcher
	begin int64 // where this run's part of the log begins
}

func openConsole(path string) (*console, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", path, err), f.Close())
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, w.Close(), f.Close())
	}
	return &console{f, w, end}, nil
}

// LastLine is the last line of this run's part of the log.
func (c *console) LastLine() string {
	info, err := c.file.Stat()
	if err != nil {
		return ""
	}
	const most = 500
	from := max(c.begin, info.Size()-most)
	b, err := io.ReadAll(io.NewSectionReader(c.file, from, most))
	if err != nil {
		return ""
	}
	line := strings.TrimSpace(string(b))
	line = line[strings.LastIndexByte(line, '\n')+1:]
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, line)
}

// Close ends Rotate.
func (c *console) Close() error { return errors.Join(c.watch.Close(), c.file.Close()) }

// Rotate keeps the log short until Close.
func (c *console) Rotate() {
	for range c.watch.Events {
		if info, err := c.file.Stat(); err == nil && info.Size() > maxLog {
			if err := c.rotate(); err != nil {
				fmt.Fprintln(os.Stderr, "berth: rotate console log:", err)
			}
		}
		time.Sleep(calm)
	}
}

// rotate copies the log and empties it: systemd-nspawn goes on writing at what
// is then the end.
func (c *console) rotate() error {
	old, err := os.OpenFile(c.file.Name()+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(old, io.NewSectionReader(c.file, 0, 4*maxLog))
	return errors.Join(err, old.Close(), c.file.Truncate(0))
}
