// Command tinyinit is a whole guest in one static file: as PID 1 the smallest
// init that berth can tell ready, halt and reboot, and under other names the
// few programs that tests run in it. A guest of it starts in the time that
// systemd-nspawn itself needs.
//
// The environment variable TINY makes the init misbehave: never (it is never
// ready), deaf (it does not shut down), die (it ends at once) or crash (it
// ends when it gets SIGUSR1).
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What systemd as PID 1 takes for "halt", "reboot"; see systemd(1).
const (
	powerOff = syscall.Signal(34 + 4)
	reboot   = syscall.Signal(34 + 5)
	halt     = syscall.Signal(34 + 3)
)

func main() {
	if os.Getpid() == 1 {
		initialize(os.Getenv("TINY"))
	}
	if err := run(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// initialize is the guest's init. It does not return.
func initialize(mode string) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, halt, powerOff, reboot, syscall.SIGTERM, syscall.SIGCHLD, syscall.SIGUSR1)
	fmt.Println("tinyinit: hello")
	switch mode {
	case "die":
		fmt.Println("tinyinit: dying")
		os.Exit(1)
	case "never":
	default:
		if err := notify("READY=1"); err != nil {
			fmt.Println("tinyinit:", err)
			os.Exit(1)
		}
	}
	for s := range signals {
		switch {
		case s == syscall.SIGCHLD:
			reap()
		case s == syscall.SIGUSR1 && mode == "crash":
			os.Exit(1)
		case s == reboot:
			end(syscall.LINUX_REBOOT_CMD_RESTART)
		case s != syscall.SIGUSR1 && mode != "deaf":
			end(syscall.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
}

// end ends the PID namespace, as reboot(2) in one does.
func end(how int) {
	if err := syscall.Reboot(how); err != nil {
		fmt.Println("tinyinit: reboot:", err)
		os.Exit(1)
	}
}

func reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && err != syscall.EINTR {
			return
		}
	}
}

// notify is sd_notify(3).
func notify(message string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Sendto(fd, []byte(message), 0, &syscall.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")})
}

// run is one of the programs.
func run(name string, args []string) error {
	switch name {
	case "true":
		return nil
	case "false":
		os.Exit(1)
	case "echo":
		_, err := fmt.Println(strings.Join(args, " "))
		return err
	case "cat":
		return cat(args)
	case "write":
		return os.WriteFile(args[0], []byte(strings.Join(args[1:], " ")+"\n"), 0o644)
	case "sleep":
		d, err := strconv.ParseFloat(args[0], 64)
		time.Sleep(time.Duration(d * float64(time.Second)))
		return err
	case "poweroff":
		return syscall.Kill(1, powerOff)
	case "reboot":
		return syscall.Kill(1, reboot)
	case "crash":
		return syscall.Kill(1, syscall.SIGUSR1)
	}
	return fmt.Errorf("tinyinit: there is no program %q", name)
}

func cat(files []string) error {
	if len(files) == 0 {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}
