//go:build e2e

package nested

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/process"
)

// roleVariable makes the test binary a program that boots a host in the
// directory that it names, and is killed.
const roleVariable = "BERTH_NESTED_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleVariable); dir != "" {
		o := options(dir)
		o.Memory = 1 << 30
		h, err := New(context.Background(), o)
		if err == nil {
			err = h.Boot(context.Background())
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(h.running.leader.PID)
		select {} // it is killed
	}
	os.Exit(m.Run())
}

// options are those of a host that is quickly made.
func options(dir string) Options {
	cache := os.Getenv("BERTH_TEST_CACHE")
	if cache == "" {
		cache = "/var/cache/berth-test"
	}
	d := Distributions()[0]
	tree, err := d.Tree(context.Background(), cache)
	if err != nil {
		panic(err)
	}
	return Options{Distribution: d, Tree: tree, Dir: dir}
}

// newDir is a directory on a real file system.
func newDir(t *testing.T) string {
	t.Helper()
	top := os.Getenv("BERTH_TEST_DIR")
	if top == "" {
		top = "/var/tmp"
	}
	dir, err := os.MkdirTemp(top, "berth-nested-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// nothingLeft wants neither hosts nor groups of hosts that were in dir.
func nothingLeft(t *testing.T, dir string, group cgroup.Group) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(left) > 0 || group.Exists() {
		t.Errorf("left behind: %q, control group: %t", left, group.Exists())
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	o := options(dir)
	o.Binds = map[string]string{"/mnt": "/etc"}
	h, err := New(t.Context(), o)
	must(t, err)
	defer h.Close()
	from := filepath.Join(dir, "from")
	must(t, os.WriteFile(from, []byte("#!/bin/sh\necho \"$1 $HOME ${A} $(systemctl is-system-running)\"; cat; exit 7\n"), 0o755))
	must(t, h.CopyIn(from, "/root/bin/answer"))
	must(t, h.Boot(t.Context()))

	var out bytes.Buffer
	cmd := h.Command(t.Context(), []string{"A=b c"}, "/root/bin/answer", "$HOME ${A}")
	cmd.Stdin, cmd.Stdout = strings.NewReader("typed"), &out
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("a command that exits with 7: %v", err)
	}
	if got := out.String(); got != "$HOME ${A} /root b c running\ntyped" {
		t.Errorf("it says %q", got)
	}
	must(t, h.Command(t.Context(), nil, "sh", "-c", "cmp /mnt/hostname /mnt/hostname && ! touch /mnt/x && echo kept >/root/file").Run())

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := h.Command(ctx, nil, "sleep", "1234").Run(); err == nil {
		t.Error("a command outlives its context")
	}
	must(t, h.Command(t.Context(), nil, "sh", "-c", "! pgrep -fx 'sleep 1234'").Run())

	must(t, h.PowerOff(t.Context()))
	must(t, h.Boot(t.Context()))
	to := filepath.Join(dir, "to")
	must(t, h.CopyOut("/root/file", to))
	if b, err := os.ReadFile(to); err != nil || string(b) != "kept\n" {
		t.Errorf("copied out %q, %v", b, err)
	}
	must(t, errors.Join(os.Remove(from), os.Remove(to), h.Close()))
	nothingLeft(t, dir, h.group)
}

// TestBootFails: a host that does not come up says what it said.
func TestBootFails(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	h, err := New(t.Context(), options(dir))
	must(t, err)
	files, err := h.Files()
	must(t, err)
	must(t, errors.Join(files.Remove("usr/lib/systemd/systemd"), files.Remove("usr/sbin/init"),
		files.WriteFile("usr/sbin/init", []byte("#!/bin/sh\necho no disk; exit 1\n"), 0o755), files.Close()))
	if err := h.Boot(t.Context()); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("boot: %v", err)
	}
	must(t, h.Close())
	nothingLeft(t, dir, h.group)
}

// TestKilled: a host ends with its program, and the next one removes the rest.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	self := exec.Command("/proc/self/exe")
	self.Env = append(os.Environ(), roleVariable+"="+dir)
	said, err := self.StdoutPipe()
	must(t, err)
	must(t, self.Start())
	var leader int
	if _, err := fmt.Fscanf(said, "%d\n", &leader); err != nil {
		t.Fatal(err)
	}
	p, err := process.Open(leader)
	must(t, err)
	defer p.Close()
	must(t, self.Process.Signal(syscall.SIGKILL))
	_ = self.Wait()
	must(t, p.Await(t.Context()))

	left, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(left) != 1 {
		t.Fatalf("left is %q", left)
	}
	hierarchies, err := cgroup.Mounted()
	must(t, err)
	must(t, sweep(dir, hierarchies))
	nothingLeft(t, dir, groupOf(hierarchies, left[0]))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
