package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBecome: a process becomes another program below the filters, with its
// arguments and environment, and the limits and the masks of before.
func TestBecome(t *testing.T) {
	t.Parallel()
	pid := filtered(t, "become")
	got, err := PlainFilters(t.Context(), pid)
	must(t, err)
	if !reflect.DeepEqual(got, twoFilters()) {
		t.Errorf("got %v, want %v", got, twoFilters())
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if must(t, err); string(cmdline) != "name\x00filtered already\x00" {
		t.Errorf("its arguments are %q", cmdline)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if must(t, err); !bytes.HasSuffix(environ, []byte("\x00A=b\x00")) {
		t.Errorf("its environment is %q", environ)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	for _, task := range tasks { // Go has made them since
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name())); err == nil && !bytes.Contains(b, []byte("\nSeccomp_filters:\t2\n")) {
			t.Errorf("thread %s has other filters", task.Name())
		}
	}
}

// TestBecomeNot: who may not install filters does not become the program.
func TestBecomeNot(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{roleVariable + "=become"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("install system call filter 1 of 2: permission denied")) {
		t.Errorf("it said %q, %v", out, err)
	}
}

func TestParseFilters(t *testing.T) {
	t.Parallel()
	b := AppendFilters(nil, twoFilters())
	if got, err := ParseFilters(b); err != nil || !reflect.DeepEqual(got, twoFilters()) {
		t.Errorf("got %v, %v", got, err)
	}
	whole := map[int]bool{0: true, len(b): true, len(b) - 12: true} // with fewer filters
	for n := range len(b) + 1 {
		if _, err := ParseFilters(b[:n]); (err == nil) != whole[n] || err != nil && !errors.Is(err, errShort) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
	for _, n := range []byte{0, 0xff} { // of no instructions, or of too many
		if _, err := ParseFilters(append([]byte{n, n, 0, 0}, make([]byte, 8*unix.BPF_MAXINSNS)...)); err == nil {
			t.Errorf("%d instructions are fine", n)
		}
	}
}
