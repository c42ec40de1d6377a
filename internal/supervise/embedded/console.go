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
	file  *os.File
	begin int64         // where this run's part of the log begins
	ended chan struct{} // closed by Close
}

func openConsole(path string) (*console, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &console{f, end, make(chan struct{})}, nil
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
	return c.file.Close()
}

// Rotate keeps the log short until Close.
func (c *console) Rotate() {
	look := time.NewTicker(calm)
	defer look.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-look.C:
		}
		if info, err := c.file.Stat(); err == nil && info.Size() > maxLog {
			if err := c.rotate(); err != nil {
				fmt.Fprintln(os.Stderr, "berth: rotate console log:", err)
			}
		}
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
