package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]berth.Place{
		"web:/etc/hosts": {Container: "web", Path: "/etc/hosts"},
		"/a:b":           {Path: "/a:b"},
		"web:/a:b":       {Container: "web", Path: "/a:b"},
	} {
		if got, err := place(in); err != nil || got != want {
			t.Errorf("%q is %v (%v), not %v", in, got, err, want)
		}
	}
	for _, in := range []string{"web:etc", "we b:/x", "web:"} {
		if got, err := place(in); container.CodeOf(err) != container.CodeUsage {
			t.Errorf("%q is taken as %v (%v)", in, got, err)
		}
	}
}

func TestAgoAndSize(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{5 * time.Second: "5s", 3 * time.Minute: "3min", 30 * time.Hour: "30h", 72 * time.Hour: "3d"} {
		if got := ago(time.Now().Add(-d)); got != want {
			t.Errorf("%v ago is %q, not %q", d, got, want)
		}
	}
	if got := ago(time.Time{}); got != "-" {
		t.Errorf("never is %q", got)
	}
	for n, want := range map[int64]string{0: "0 B", 10240: "10 KiB", 300 << 20: "300 MiB", 12 << 30: "12 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
}

func TestPlanText(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]container.Step{
		"web: nothing to do":                {Name: "web", Action: container.ActionNone},
		"web: create, start":                {Name: "web", Action: container.ActionCreate, Start: true},
		"web: create":                       {Name: "web", Action: container.ActionCreate},
		"web: start":                        {Name: "web", Action: container.ActionStart, Start: true},
		"web: update, effect restart":       {Name: "web", Action: container.ActionUpdate, Effect: container.EffectRestart, Restart: true},
		"web: destroy (no longer declared)": {Name: "web", Action: container.ActionDestroy, Why: "no longer declared"},
		"web: update, effect recreate (what the guest changed is set aside in generations/)": {Name: "web", Action: container.ActionUpdate, Effect: container.EffectRecreate},
	} {
		if got := stepLine(s); got != want {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}

// TestErrorText: what is not said in plain words, or has no hint, where it comes
// from.
func TestErrorText(t *testing.T) {
	t.Parallel()
	full := &os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}
	for want, err := range map[string]error{
		"berth: web: interrupted\n":   container.Named("web", context.Canceled),
		"berth: context canceled\n":   errors.New("context canceled"), // said by somebody else
		"berth: web: gone\nhint: a\n": container.Named("web", &container.Error{Err: errors.New("gone"), Hint: "a"}),
		"berth: web: write /x: no space left on device\nhint: make room; berth image prune removes images that no container uses\n":                                                       fmt.Errorf("web: %w", full),
		"berth: mkdir /x: read-only file system\nhint: that file system is mounted read-only; if nobody has mounted it so, the kernel has, after an error of the disk that dmesg shows\n": &os.PathError{Op: "mkdir", Path: "/x", Err: syscall.EROFS},
	} {
		out, create := os.Create(filepath.Join(t.TempDir(), "out"))
		if create != nil {
			t.Fatal(create)
		}
		(&app{Streams: Streams{Err: out}, program: "berth"}).printError(err)
		got, err := os.ReadFile(out.Name())
		if err := errors.Join(err, out.Close()); err != nil || string(got) != want {
			t.Errorf("it says %q (%v), not %q", got, err, want)
		}
	}
}
