package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-containers/berth/internal/plain"
)

// A console log that has grown past maxLog bytes becomes NAME.log.1.
const (
	maxLog = 8 << 20
	// calm is the time between two looks at the log. To be told by inotify
	// would cost each guest one of the machine's instances, and each stop the
	// 15 ms that the kernel takes to close it.
	calm = 5 * time.Second
)

// console is the log of a guest's console. systemd-nspawn writes into the file
// itself, so that the guest goes on if the shim does not.
type console struct {
	file   *os.File
	times  *os.File      // of marks
	begin  int64         // where this run's part of the log begins
	marked int64         // how long the log was at the last mark
	ended  chan struct{} // closed by Close
}

func openConsole(path string) (*console, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	times, err := os.OpenFile(marksFile(path), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c := &console{file: f, times: times, ended: make(chan struct{})}
	if err := c.beginRun(); err != nil {
		return nil, errors.Join(err, f.Close(), times.Close())
	}
	return c, nil
}

// beginRun marks where the part of this run begins, and when what is before it
// was written.
func (c *console) beginRun() error {
	info, err := c.file.Stat()
	if err != nil {
		return err
	}
	c.begin = info.Size()
	if c.begin == 0 { // the marks are of a log that is gone
		err = c.times.Truncate(0)
	} else {
		err = c.mark(c.begin, info.ModTime())
	}
	return errors.Join(err, c.mark(c.begin, time.Now()))
}

// mark keeps how long the log was at a time.
func (c *console) mark(size int64, at time.Time) error {
	c.marked = size
	_, err := c.times.WriteString(mark{size, at}.String())
	return err
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
	return plain.Text(line)
}

// Close ends Rotate.
func (c *console) Close() error {
	close(c.ended)
	return errors.Join(c.file.Close(), c.times.Close())
}

// Rotate keeps the log short, and its times, until Close.
func (c *console) Rotate() {
	look := time.NewTicker(calm)
	defer look.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-look.C:
		}
		if err := c.look(); err != nil {
			fmt.Fprintln(os.Stderr, "berth: console log:", err)
		}
	}
}

// look marks what has come, and cuts the log when it has grown.
func (c *console) look() error {
	info, err := c.file.Stat()
	if err != nil || info.Size() == c.marked {
		return err
	}
	if err := c.mark(info.Size(), time.Now()); err != nil {
		return err
	}
	times, err := c.times.Stat()
	if err != nil || info.Size() <= maxLog && times.Size() <= maxMarks {
		return err
	}
	return c.rotate()
}

// rotate copies the log and empties it: systemd-nspawn goes on writing at what
// is then the end.
func (c *console) rotate() error {
	old, err := os.OpenFile(c.file.Name()+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(old, io.NewSectionReader(c.file, 0, 4*maxLog))
	return errors.Join(err, old.Close(), c.file.Truncate(0), c.times.Truncate(0), c.mark(0, time.Now()))
}
