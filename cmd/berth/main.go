// Each start would look what processors the control group leaves, for 0.2 ms.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command berth runs full-system Linux containers from a declaration.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cli"
	"github.com/berth-containers/berth/internal/preinit"
)

func main() {
	becomes := len(os.Args) > 1 && os.Args[1] == preinit.Command
	if becomes {
		// Here this is the first thread still. Had another one become the guest's
		// init, the process would look dead for that moment: to systemd-machined,
		// which then has systemd-nspawn end it, and to whoever opens its root.
		runtime.LockOSThread()
	}
	os.Exit(run(becomes))
}

func run(becomes bool) int {
	// What the caller left open is not for shims and guests.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Fprintln(os.Stderr, "berth: close inherited files:", err)
		return 1
	}
	if becomes {
		return preinit.Main(os.Args[2:]) // before anything that only a command of a user needs
	}
	ctx := newInterruptible()
	command := cli.Main
	if cli.IsNixosContainer(os.Args[0]) {
		command = cli.NixosContainer
	}
	return command(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
