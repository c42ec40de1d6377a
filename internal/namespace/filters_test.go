package namespace

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// twoFilters allow everything, each in its own way.
func twoFilters() [][]unix.SockFilter {
	const allow = 0x7fff0000 // SECCOMP_RET_ALLOW
	load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}
	end := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: allow}
	return [][]unix.SockFilter{{load, end}, {end}}
}

// filterSelf installs them for all threads of this process.
func filterSelf() error {
	for _, f := range twoFilters() {
		prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
		_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
		if e != 0 {
			return e
		}
	}
	return nil
}

// filtered is the PID of a process that has installed these filters in the way
// of its role.
func filtered(t *testing.T, role string) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = []string{roleVariable + "=" + role}, os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return cmd.Process.Pid
}

// TestFilters: a program gets the filters of another process.
func TestFilters(t *testing.T) {
	t.Parallel()
	pid := filtered(t, "filtered")
	got, err := Filters(t.Context(), pid)
	must(t, err)
	if !reflect.DeepEqual(got, twoFilters()) {
		t.Fatalf("got %v, want %v", got, twoFilters())
	}
	g := startGuest(t)
	for _, uid := range []int{0, 1000} {
		c := g.command(t, "facts")
		c.Filters, c.UID = got, uid
		if f := factsOf(t, c); f.Status["Seccomp"] != "2" || f.Status["Seccomp_filters"] != "2" {
			t.Errorf("user %d: Seccomp %q, %q filters", uid, f.Status["Seccomp"], f.Status["Seccomp_filters"])
		}
	}
	if got, err := Filters(t.Context(), g.Process.Pid); err != nil || got != nil {
		t.Errorf("of a process without filters: %v, %v", got, err)
	}
	if _, err := Filters(t.Context(), 1<<30); !errors.Is(err, unix.ESRCH) {
		t.Errorf("of no process: %v", err)
	}
}

// TestFiltersAtOnce: several may read the filters of the same process.
func TestFiltersAtOnce(t *testing.T) {
	t.Parallel()
	pid := filtered(t, "filtered")
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if got, err := Filters(t.Context(), pid); err != nil || len(got) != 2 {
				t.Errorf("got %d filters, %v", len(got), err)
			}
		})
	}
	group.Wait()
}

// TestFiltersTraced: who traces a guest's init cannot make us run a program
// without filters.
func TestFiltersTraced(t *testing.T) {
	t.Parallel()
	pid := filtered(t, "filtered")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, unix.PtraceSeize(pid))
	if _, err := Filters(t.Context(), pid); !errors.Is(err, errTraced) {
		t.Errorf("of a traced process: %v", err)
	}
	must(t, unix.PtraceInterrupt(pid))
	must(t, stopped(pid))
	must(t, unix.PtraceDetach(pid))
	if got, err := Filters(t.Context(), pid); err != nil || len(got) != 2 {
		t.Errorf("afterwards: %v, %v", got, err)
	}
}
