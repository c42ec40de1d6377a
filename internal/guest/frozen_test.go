package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
)

// freezable is a running guest in a control group of its own.
func freezable(t *testing.T) (*Guest, cgroup.Group) {
	t.Helper()
	g := running(t)
	group := g.cgroups.Group(fmt.Sprintf("berth-test-%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), os.Getpid())) // one directory, which is removed
	t.Cleanup(func() {
		must(t, group.Kill(10*time.Second))
		must(t, group.Remove())
	})
	must(t, group.Create())
	must(t, group.Join(g.leader.PID))
	return g, group
}

// TestExecFrozen: in a frozen guest nothing runs, and nothing hangs.
func TestExecFrozen(t *testing.T) {
	t.Parallel()
	g, group := freezable(t)
	must(t, group.Freeze(true))
	c := Command{Args: []string{"true"}, Dir: "/"}
	if code, _, err := run(t, g, c, ""); code != CodeFailed || !errors.Is(err, ErrFrozen) {
		t.Errorf("code %d, %v", code, err)
	}
	must(t, group.Freeze(false))
	if code, _, err := run(t, g, c, ""); code != 0 || err != nil {
		t.Errorf("afterwards: code %d, %v", code, err)
	}
	awaitAlone(t, g, group)
}

// TestExecFreezing freezes a guest while a program runs: it waits with the
// guest, unless it is impatient or the context ends.
func TestExecFreezing(t *testing.T) {
	t.Parallel()
	errEnough := errors.New("enough")
	for name, want := range map[string]error{"patient": nil, "impatient": ErrFrozen, "given up": errEnough} {
		t.Run(name, func(t *testing.T) {
			g, group := freezable(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			in, feed := pipe(t)
			out, said := pipe(t)
			ended := make(chan error, 1)
			go func() {
				_, err := g.Exec(ctx, Command{Args: []string{"sh", "-c", "echo here; read -r x"}, Dir: "/", Stdin: in, Stdout: said, Stderr: os.Stderr, Impatient: name == "impatient"})
				ended <- err
			}()
			_, err := out.Read(make([]byte, 5))
			must(t, err)
			must(t, group.Freeze(true))
			switch name {
			case "patient":
				must(t, feed.Close())
				must(t, group.Freeze(false))
			case "given up":
				cancel(errEnough)
			}
			if err := <-ended; !errors.Is(err, want) {
				t.Errorf("it ended with %v, want %v", err, want)
			}
			must(t, group.Freeze(false))
			awaitAlone(t, g, group)
		})
	}
}

// awaitAlone waits until the guest's init is the only process of the group.
func awaitAlone(t *testing.T, g *Guest, group cgroup.Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pids, err := group.Procs()
	must(t, err)
	for _, pid := range pids {
		if p, err := process.Open(pid); err == nil && pid != g.leader.PID {
			must(t, p.Await(ctx))
			must(t, p.Close())
		}
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}
