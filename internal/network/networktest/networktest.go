// Package networktest gives tests a network of their own, so that none of them
// touches that of the machine.
package networktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// variable tells the process that runs the tests from the one that starts it.
const variable = "BERTH_TEST_NETWORK"

// Main runs the tests of a package in network and mount namespaces of their own,
// in which the loopback interface is up, and returns their exit code. It needs
// root.
func Main(m *testing.M) int {
	if os.Getenv(variable) != "" {
		if err := raise("lo"); err != nil {
			fmt.Fprintln(os.Stderr, "networktest:", err)
			return 1
		}
		return m.Run()
	}
	runtime.LockOSThread() // the child is killed when the thread ends
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "networktest: tests of networks need root:", err)
		return 1
	}
	return max(cmd.ProcessState.ExitCode(), -cmd.ProcessState.ExitCode())
}

// raise sets an interface up; see netdevice(7).
func raise(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// IP runs ip(8) with these words, and fails the test where that fails.
func IP(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v\n%s", words, err, out)
	}
}

// Namespace is another network namespace, as of a guest.
type Namespace struct{ PID int }

// New makes one, which goes with the test.
func New(t *testing.T) Namespace {
	t.Helper()
	cmd := exec.Command("cat") // ends with this process, whatever ends that
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	return Namespace{cmd.Process.Pid}
}

// Run runs a program in it, and returns what it prints.
func (n Namespace) Run(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nsenter", append([]string{"-t", fmt.Sprint(n.PID), "-n"}, argv...)...).CombinedOutput()
	return string(out), err
}
