package process

import (
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListens(t *testing.T) {
	t.Parallel()
	const status = "Name:\tx\nSigQ:\t4/9\nSigPnd:\t0000000000000040\nSigBlk:\t0000001000000001\nSigIgn:\t0000000000000080\nSigCgt:\t0000000000004000\n"
	for sig, want := range map[unix.Signal]bool{
		37: true, unix.SIGHUP: true, unix.SIGTERM: true,
		unix.SIGBUS: false, unix.SIGFPE: false, unix.SIGUSR1: false, 38: false, 64: false,
	} {
		if got := listens(status, sig); got != want {
			t.Errorf("signal %d: %v", sig, got)
		}
	}
	for _, bad := range []string{"", "SigCgt", "SigCgt:\tzz\n", "SigBlk:\n"} {
		if listens(bad, unix.SIGTERM) {
			t.Errorf("%q listens", bad)
		}
	}
}

// TestListensSelf asks the kernel.
func TestListensSelf(t *testing.T) {
	t.Parallel()
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGUSR2)
	defer signal.Stop(c)
	p, err := Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.Listens(unix.SIGUSR2) || p.Listens(unix.SIGKILL) {
		t.Error("this process catches SIGUSR2, and nobody catches SIGKILL")
	}
}
