// Package preinit is the first process of a guest that has a network: berth's
// own program, which waits at a gate until the network is in place, tells the
// guest of it in a few files, and becomes the guest's init. Gate is the other
// side, on the host.
package preinit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dir is where the guest has the program and the gate, read-only.
const Dir = "/run/host/berth"

// The names in Dir.
const (
	Program = "init"
	Socket  = "gate"
)

// Command is the word after the program's name with which it is Main's.
const Command = "preinit"

// announce is an argument of Main: it says READY=1 for an init that does not.
const announce = "--ready"

// Args are the program and arguments with which a guest is started whose init
// is the program at path. ready says that the init itself tells when it is
// ready.
func Args(path string, ready bool) []string {
	args := []string{Dir + "/" + Program, Command}
	if !ready {
		args = append(args, announce)
	}
	return append(args, path)
}

// Settings are the answer of the gate.
type Settings struct {
	// Error is why the guest may not start.
	Error string `json:"error,omitempty"`
	// Files are written in this order.
	Files []File `json:"files,omitempty"`
	// Resolver is what /etc/resolv.conf is to say.
	Resolver string `json:"resolver,omitempty"`
	// Client is an interface that needs a DHCP client in the guest.
	Client string `json:"client,omitempty"`
}

// File is one file of the guest.
type File struct {
	Path string `json:"path"` // absolute
	Text string `json:"text"`
	// Missing says that it is only for guests that have no such file.
	Missing bool `json:"missing,omitempty"`
}

// Main is the command: args are those that Args gives, from the one after
// Command on. It returns the exit code where it does not become the init.
func Main(args []string) int {
	stopEarly()
	ready := true
	if len(args) > 0 && args[0] == announce {
		ready, args = false, args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "berth: preinit: no init is named")
		return 2
	}
	if err := run(Dir, args, !ready); err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
	}
	return 1
}

// stopEarly ends the guest at any signal that asks its init to shut down:
// nothing runs in it yet.
func stopEarly() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPWR, unix.SIGUSR1, unix.SIGUSR2,
		syscall.Signal(34+3), syscall.Signal(34+4)) // SIGRTMIN+3 and +4; see systemd(1)
	go func() {
		<-c
		os.Exit(0)
	}()
}

func run(dir string, init []string, announces bool) error {
	gate, err := net.Dial("unix", dir+"/"+Socket)
	if err != nil {
		return fmt.Errorf("ask for the guest's network: %w", err)
	}
	defer gate.Close()
	var s Settings
	answer, err := bufio.NewReader(gate).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(answer, &s)
	}
	switch {
	case err != nil:
		return errors.New("the guest's network was not set up: who was at it has ended")
	case s.Error != "":
		return fmt.Errorf("the guest's network was not set up: %s", s.Error)
	}
	for _, complaint := range s.write("/") {
		fmt.Fprintln(os.Stderr, "berth:", complaint)
	}
	if announces {
		if err := say("READY=1"); err != nil {
			return fmt.Errorf("tell that the guest is ready: %w", err)
		}
	}
	err = fmt.Errorf("start %s: %w", init[0], unix.Exec(init[0], init, os.Environ()))
	// The host keeps the reason, and hangs up; the console has it in any case.
	if _, said := fmt.Fprintln(gate, err); said == nil {
		_, _ = io.Copy(io.Discard, gate)
	}
	return err
}

// say tells systemd-nspawn something; see sd_notify(3).
func say(words string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(words))
	return err
}
