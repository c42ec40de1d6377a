package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/nar"
	"github.com/berth-containers/berth/internal/state"
)

// Writer adds store paths, and is the only one who does at its time. Paths
// come into sight when all that they refer to is there; what came before a
// process was killed stays, if it was in sight.
type Writer struct {
	s    *Store
	lock *state.Lock

	wake chan struct{} // something waits
	done chan struct{} // the goroutine that commits has ended

	mu      sync.Mutex
	waiting map[nix.StorePath]nix.Info // unpacked and verified, not in sight
	err     error                      // of committing; nothing is committed after one

	buffers sync.Pool // *bufio.Reader, for archives
}

// Begin waits for the right to add paths, and calls waiting first where
// somebody else has it. It removes what was left by others who had.
func (s *Store) Begin(ctx context.Context, waiting func()) (*Writer, error) {
	l, err := s.lock(ctx, waiting)
	if err != nil {
		return nil, err
	}
	if _, err := s.clean(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	w := &Writer{s: s, lock: l, wake: make(chan struct{}, 1), done: make(chan struct{}), waiting: map[nix.StorePath]nix.Info{}}
	w.buffers.New = func() any { return bufio.NewReaderSize(nil, nar.BufferSize) }
	go w.commitAll()
	return w, nil
}

// Add unpacks the archive of a path, which vouches for itself: its end is
// io.EOF only if it is the right one. Several may be added at a time.
func (w *Writer) Add(info nix.Info, archive io.Reader) error {
	if err := w.failure(); err != nil {
		return err
	}
	if err := w.unpack(info.Path, archive); err != nil {
		return fmt.Errorf("%s: %w", info.Path, err)
	}
	if err := state.WriteRuntimeJSON(w.s.newRecord(info.Path), info); err != nil {
		return err
	}
	w.mu.Lock()
	w.waiting[info.Path] = info
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

func (w *Writer) unpack(p nix.StorePath, archive io.Reader) (err error) {
	t, err := w.s.newTree(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	r := w.buffers.Get().(*bufio.Reader)
	defer w.buffers.Put(r)
	r.Reset(archive)
	return nar.Parse(r, t)
}

func (w *Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// commitAll brings into sight what waits, until Finish. While it waits for the
// disk, more arrives, so that many small paths share one wait.
func (w *Writer) commitAll() {
	defer close(w.done)
	for range w.wake {
		err := w.failure()
		if err == nil {
			err = w.commit(w.complete())
		}
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
}

// complete takes from what waits the paths that refer to nothing that is not
// there or among them, in the order in which they may come into sight.
func (w *Writer) complete() ([]nix.StorePath, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	order, err := nix.Order(w.waiting)
	if err != nil {
		return nil, err
	}
	var out []nix.StorePath
	taken := map[nix.StorePath]bool{}
	for _, p := range order {
		lacks := func(r nix.StorePath) bool { return r != p && !taken[r] && !w.s.Has(r) }
		if slices.ContainsFunc(w.waiting[p].References, lacks) {
			continue
		}
		taken[p] = true
		out = append(out, p)
	}
	for _, p := range out {
		delete(w.waiting, p)
	}
	return out, nil
}

// commit brings paths into sight, all of them on the disk before.
func (w *Writer) commit(batch []nix.StorePath, err error) error {
	if err != nil || len(batch) == 0 {
		return err
	}
	if err := syncAll(w.s.staging()); err != nil {
		return err
	}
	for _, p := range batch {
		if err := state.RemoveTree(w.s.Dir(p)); err != nil { // without a record: nobody's
			return err
		}
		if err := os.Rename(w.s.staged(p), w.s.Dir(p)); err != nil {
			return err
		}
	}
	if err := state.SyncDir(w.s.trees()); err != nil {
		return err
	}
	for _, p := range batch {
		if err := os.Rename(w.s.newRecord(p), w.s.record(p)); err != nil {
			return err
		}
	}
	return state.SyncDir(w.s.db())
}

// syncAll waits until everything written to the file system of dir is on the
// disk.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd()))), d.Close())
}

// Keep waits until what was added is in sight, and gives paths a name, under
// which they stay; others of that name do so no longer.
func (w *Writer) Keep(r Root) error {
	if err := CheckName(r.Name); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	for _, p := range r.Paths {
		if !w.s.Has(p) {
			return fmt.Errorf("%s: %w", p, ErrNotFound)
		}
	}
	return state.WriteJSON(w.s.root(r.Name), r)
}

// flush ends the goroutine that commits, after what waits.
func (w *Writer) flush() error {
	if w.wake != nil {
		close(w.wake)
		<-w.done
		w.wake = nil
		if w.err == nil {
			w.err = w.commit(w.complete())
		}
	}
	return w.err
}

// Finish brings into sight what is complete, removes the rest, and lets others
// write. No Add may be under way.
func (w *Writer) Finish() error {
	err := w.flush()
	_, cleanErr := w.s.clean()
	return errors.Join(err, cleanErr, w.lock.Unlock())
}
