package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/transfer"
)

// TestCopySaysWhatFailed and not what followed from it at the other end.
func TestCopySaysWhatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := Open(state.Paths{Root: filepath.Join(dir, "root")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big") // more than a pipe takes
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		err := e.Copy(t.Context(), Place{Path: big}, Place{Container: "nobody", Path: "/root"}, transfer.Options{})
		if !errors.Is(err, container.ErrNotFound) {
			t.Fatalf("to a container that there is not: %v", err)
		}
	}
	err = e.Copy(t.Context(), Place{Path: dir + "/nothing"}, Place{Path: dir + "/to"}, transfer.Options{})
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "read "+dir+"/nothing: ") {
		t.Errorf("of a file that there is not: %v", err)
	}
}

// TestCopyTells of long copies, and not of short ones.
func TestCopyTells(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var events []container.Event
	e, err := Open(state.Paths{Root: filepath.Join(dir, "root")}, func(ev container.Event) { events = append(events, ev) })
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, size int) Place {
		p := Place{Path: filepath.Join(dir, name)}
		if err := os.WriteFile(p.Path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	small, big := file("small", 1000), file("big", 3<<20)
	if err := e.Copy(t.Context(), small, Place{Path: filepath.Join(dir, "a")}, transfer.Options{}); err != nil || len(events) > 0 {
		t.Errorf("a small file: %v, %v", events, err)
	}
	if err := e.Copy(t.Context(), big, Place{Path: filepath.Join(dir, "b")}, transfer.Options{}); err != nil || len(events) < 3 {
		t.Fatalf("a big file: %v, %v", events, err)
	}
	for i, ev := range events {
		if ev.Subject != big.Path || ev.Phase != "copying" || ev.Done == 0 || ev.Ended != (i == len(events)-1) {
			t.Errorf("event %d of %d: %+v", i, len(events), ev)
		}
	}
}

// TestCopyBetween counts what a sender writes, and ends with whoever ends.
func TestCopyBetween(t *testing.T) {
	t.Parallel()
	pass := func(ctx context.Context, send func(*os.File) error) (int64, error) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got := make(chan int64, 1)
		go func() { n, _ := io.Copy(io.Discard, r); got <- n }()
		m := &meter{}
		err = m.between(ctx, w, send)
		w.Close()
		if n := <-got; n != m.done {
			t.Errorf("%d bytes came, %d were counted", n, m.done)
		}
		return m.done, err
	}
	broken := errors.New("broken")
	n, err := pass(t.Context(), func(w *os.File) error {
		_, err := w.Write(make([]byte, 3<<20))
		return errors.Join(err, broken)
	})
	if n != 3<<20 || !errors.Is(err, broken) {
		t.Errorf("%d bytes: %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := pass(ctx, func(w *os.File) error {
		keep, err := syscall.Dup(int(w.Fd())) // as the program in a frozen guest does
		t.Cleanup(func() { syscall.Close(keep) })
		cancel()
		return err
	}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("of a guest that is frozen: %v", err)
	}
}
