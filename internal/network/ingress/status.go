package ingress

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Statuses are how the names of containers fare.
type Statuses map[container.Name][]container.IngressStatus

// ErrNotRunning says that nobody answers for the names of containers.
var ErrNotRunning = errors.New("the process that answers HTTP is not running; the next start of a container with ingress starts it")

// ReadStatus is what the process that answers has written last.
func ReadStatus(paths state.Paths) (Statuses, error) {
	if !state.Held(paths.IngressLock()) {
		return nil, ErrNotRunning
	}
	var s Statuses
	if err := state.ReadJSON(paths.IngressStatus(), &s); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s, nil
}

// Status is how the names fare that s answers for.
func (s *Server) Status() Statuses {
	out := Statuses{}
	for _, r := range s.routes.Load().routes {
		one := container.IngressStatus{Ingress: r.Ingress}
		one.Reach, one.Since, one.Reason = r.health()
		switch r.TLS {
		case container.TLSACME:
			cert, trouble := s.keeper.look(r.Host)
			if one.Trouble = trouble; cert != nil {
				one.Expires = cert.Leaf.NotAfter
			}
		case container.TLSInternal:
			if cert, err := s.certificate(r); err != nil {
				one.Trouble = err.Error()
			} else {
				one.Expires = cert.Leaf.NotAfter
			}
		}
		if trouble := s.ports.trouble(r.TLS); trouble != "" {
			one.Trouble = trouble
		}
		out[r.name] = append(out[r.name], one)
	}
	return out
}

// settle is how long changes are gathered before they are written.
const settle = 20 * time.Millisecond

// statusFile is a file that shows a status.
type statusFile struct {
	path   string
	status func() Statuses
	news   chan struct{}
	ended  chan struct{}
	done   sync.WaitGroup
}

func newStatusFile(path string, status func() Statuses) *statusFile {
	f := &statusFile{path: path, status: status, news: make(chan struct{}, 1), ended: make(chan struct{})}
	f.done.Go(f.run)
	return f
}

// changed has the status written soon.
func (f *statusFile) changed() {
	select {
	case f.news <- struct{}{}:
	default: // it is going to be
	}
}

func (f *statusFile) run() {
	for {
		select {
		case <-f.ended:
			return
		case <-f.news:
		}
		if err := state.WriteRuntimeJSON(f.path, f.status()); err != nil {
			fmt.Fprintln(os.Stderr, "berth: ingress: write status:", err)
		}
		pause := time.NewTimer(settle)
		select {
		case <-f.ended:
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// end ends the writing. The file stays: another process may have taken over.
func (f *statusFile) end() {
	close(f.ended)
	f.done.Wait()
}
