package inotify

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/state"
)

// ownVariable is set where the tests have a machine of their own: a mount
// namespace, and a cgroup namespace. What is tested is about the whole machine.
const ownVariable = "BERTH_INOTIFY_TEST_DIR"

func TestMain(m *testing.M) {
	code, err := 0, error(nil)
	if dir := os.Getenv(ownVariable); dir == "" {
		code, err = again()
	} else if err = settle(dir); err == nil {
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests make namespaces and control groups, as root:", err)
		code = 1
	}
	os.Exit(code)
}

// again runs the tests in a group and namespaces of their own.
func again() (code int, err error) {
	dir, err := os.MkdirTemp("", "berth-inotify-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	h, err := cgroup.Mounted()
	if err != nil {
		return 0, err
	}
	g := h.Group(fmt.Sprintf("berth-test-inotify-%d", os.Getpid()))
	if err := g.Create(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, g.Remove()) }()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("unshare", append([]string{"--mount", "--cgroup", "--", self}, os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), ownVariable+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := g.Start(cmd); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() <= 0 {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// settle makes of these namespaces a machine without guests.
func settle(dir string) error {
	limit := filepath.Join(dir, "limit")
	return errors.Join(
		unix.Mount("berth", "/run", "tmpfs", 0, ""),
		unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH),
		unix.Mount("berth", "/sys/fs/cgroup", "cgroup2", 0, ""),
		os.WriteFile(limit, nil, 0o644),
		unix.Mount(limit, file, "", unix.MS_BIND, ""),
	)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin is a machine with a limit, and with guests by their groups.
func begin(t *testing.T, limit int, groups ...string) cgroup.Hierarchies {
	t.Helper()
	h, err := cgroup.Mounted()
	must(t, err)
	must(t, set(limit))
	for _, g := range groups {
		must(t, h.Group(g).Create())
	}
	t.Cleanup(func() {
		for _, g := range h.Group("").Children() {
			must(t, h.Group(g).Remove())
		}
		must(t, os.RemoveAll(filepath.Dir(raisedFile)))
	})
	return h
}

// has wants the machine to have a limit, and berth to know the one from before;
// 0: it has raised nothing.
func has(t *testing.T, when string, limit, original int) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	if got := string(b); got != strconv.Itoa(limit) {
		t.Errorf("%s: the limit is %s, not %d", when, got, limit)
	}
	var r raised
	if err := state.ReadJSON(raisedFile, &r); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if r.Original != original {
		t.Errorf("%s: it was %d before, not %d", when, r.Original, original)
	}
}

// TestEnough leaves a limit alone that is high enough.
func TestEnough(t *testing.T) {
	h := begin(t, 4096, "berth/web")
	must(t, Reserve(h, 0))
	has(t, "reserved", 4096, 0)
	must(t, Restore(h, 1))
	has(t, "restored", 4096, 0)
	if _, err := os.Lstat(filepath.Dir(raisedFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a directory: %v", err)
	}
}

// TestGuests counts the guests of all berths, and nothing else.
func TestGuests(t *testing.T) {
	h := begin(t, 128, "berth/web", "berth/db", "berth-01234567/web", "machine.slice/berth@web2.service", "machine.slice/berth-01234567@db.service",
		"berth-x/web", "machine.slice/web.service", "machine.slice/other@web.service", "system.slice/berth@no.service")
	if n := guests(h); n != 5 {
		t.Errorf("%d guests", n)
	}
}

// TestReserve raises the limit as far as guests need it, and puts back the first
// one when the last guest goes.
func TestReserve(t *testing.T) {
	h := begin(t, 128)
	must(t, Reserve(h, 0))
	has(t, "without guests", 128, 0)
	must(t, h.Group("berth/web").Create())
	for range 2 {
		must(t, Reserve(h, 0))
		has(t, "with one", 1024, 128)
	}
	for i := range 150 {
		must(t, h.Group(fmt.Sprintf("berth/web%d", i)).Create())
	}
	must(t, Reserve(h, 0))
	has(t, "with 151", 2048, 128)
	must(t, Reserve(h, 5000))
	has(t, "with 5000 instances besides", 7168, 128)
	must(t, Restore(h, 1))
	has(t, "when one of many goes", 7168, 128)
	must(t, h.Group("berth").Remove())
	for range 2 {
		must(t, Restore(h, 0))
		has(t, "when all are gone", 128, 0)
	}
	if _, err := os.Lstat(filepath.Dir(raisedFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}

// TestChanged leaves a limit as it is that somebody has changed meanwhile, and
// another file in the directory.
func TestChanged(t *testing.T) {
	h := begin(t, 128, "berth/web")
	must(t, Reserve(h, 0))
	must(t, set(4711))
	other := filepath.Join(filepath.Dir(raisedFile), "other")
	must(t, os.WriteFile(other, nil, 0o600))
	must(t, Restore(h, 1))
	has(t, "changed", 4711, 0)
	must(t, os.Remove(other))
}

// TestReadOnly goes on where the limit cannot be changed, as in a container.
func TestReadOnly(t *testing.T) {
	h := begin(t, 128, "berth/web")
	remount := func(flags uintptr) error { return unix.Mount("", file, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "") }
	must(t, remount(unix.MS_RDONLY))
	t.Cleanup(func() { must(t, remount(0)) })
	must(t, Reserve(h, 0))
	has(t, "reserved", 128, 128)
	must(t, Restore(h, 1))
	has(t, "restored", 128, 0)
}

// TestDamaged says which file cannot be read.
func TestDamaged(t *testing.T) {
	h := begin(t, 128, "berth/web")
	must(t, os.MkdirAll(filepath.Dir(raisedFile), 0o700))
	must(t, os.WriteFile(raisedFile, []byte("{"), 0o600))
	for what, err := range map[string]error{"reserve": Reserve(h, 0), "restore": Restore(h, 1)} {
		if err == nil || !strings.Contains(err.Error(), raisedFile) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAtOnce has guests come and go at the same time.
func TestAtOnce(t *testing.T) {
	h := begin(t, 128)
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			g := h.Group(fmt.Sprintf("berth/web%d", i))
			if err := errors.Join(g.Create(), Reserve(h, 0), Restore(h, 1), g.Remove(), Restore(h, 0)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	has(t, "at the end", 128, 0)
}
