package engine

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/berth-containers/berth/internal/plain"
)

// A guest that writes to a pipe would end when this process does, in the midst
// of its switch. It writes to a file of the host, of which it can do nothing
// else than add to it.

// maxSwitchLine and maxSwitchLog bound what is told of that file, in bytes.
const (
	maxSwitchLine = 4 << 10
	maxSwitchLog  = 1 << 20
)

// follow calls tell with each line that is written to a file, as plain text.
// stop returns when all has been told that is there.
func follow(path string, tell func(string)) (stop func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := w.Add(path); err != nil {
		return nil, errors.Join(err, w.Close(), f.Close())
	}
	lines := lineReader{in: bufio.NewReaderSize(io.LimitReader(f, maxSwitchLog), maxSwitchLine), tell: tell}
	ended := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-w.Events:
				lines.read(false)
			case <-w.Errors: // too many events, of which the next makes up for
			case <-ended:
				lines.read(true)
				return
			}
		}
	})
	return func() {
		close(ended)
		reading.Wait()
		w.Close()
		f.Close()
	}, nil
}

// lineReader reads lines of a file that grows.
type lineReader struct {
	in   *bufio.Reader
	rest string // the beginning of a line whose end is not there yet
	tell func(string)
}

// read tells the lines that are there; at the end of all also one without an
// end.
func (l *lineReader) read(last bool) {
	for {
		part, err := l.in.ReadSlice('\n')
		l.rest += string(part)
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		}
		if err == nil || last && l.rest != "" {
			l.tell(plain.Text(strings.TrimRight(l.rest, "\r\n")))
			l.rest = ""
		}
		if err != nil {
			return
		}
	}
}
