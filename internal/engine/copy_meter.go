package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/berth-containers/berth/container"
)

// meter counts the bytes of a copy, and tells of them. It belongs to the
// goroutine that writes to it.
type meter struct {
	events     container.EventFunc
	subject    string
	done, told int64
}

// tellEvery is how many bytes pass between two events. A copy of fewer is over
// before there is anything to tell.
const tellEvery = 1 << 20

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if m.done-m.told >= tellEvery {
		m.told = m.done
		m.events.Send(container.Event{Subject: m.subject, Phase: "copying", Done: m.done})
	}
	return len(p), nil
}

// end tells that the copy is over, when nobody writes any more.
func (m *meter) end() {
	if m.told > 0 {
		m.events.Send(container.Event{Subject: m.subject, Phase: "copying", Done: m.done, Ended: true})
	}
}

// between passes on to w what send writes, and counts it.
func (m *meter) between(ctx context.Context, w *os.File, send func(*os.File) error) error {
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	// A sender that a frozen guest holds back never closes its end.
	stop := context.AfterFunc(ctx, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	passed := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, io.TeeReader(in, m))
		in.Close() // so that the sender does not wait for a reader
		passed <- err
	}()
	err = send(out)
	out.Close()
	return errors.Join(err, <-passed)
}
