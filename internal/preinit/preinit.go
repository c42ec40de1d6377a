// Package preinit is the first process of a guest: berth's own program. It
// waits at a gate until the guest's network is in place, tells the guest of it in
// a few files, has a Nix of the guest's own know its system, installs system call
// filters that were compiled before, and becomes the guest's init; a guest needs
// some of that or all. Gate is the other side, on
// the host.
package preinit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/enrol"
	"github.com/berth-containers/berth/internal/namespace"
)

// Dir is where the guest has the program and the gate, read-only.
const Dir = "/run/host/berth"

// The names in Dir.
const (
	Program      = "init"
	Socket       = "gate"
	Filters      = "filters"      // as namespace.AppendFilters writes them
	Registration = "registration" // for a guest with a Nix of its own: what that is told
)

// Command is the word after the program's name with which it is Main's.
const Command = "preinit"

// The arguments of Main before the init's path.
const (
	announce = "--ready"    // says READY=1 for an init that does not
	gateless = "--no-gate"  // there is none
	filtered = "--filters=" // the file of filters has this SHA-256 sum
	enrols   = "--nix="     // the system for the guest's own Nix
)

// Task is what is to be done before the guest's init runs.
type Task struct {
	Init     []string // its path, and arguments
	Announce bool     // say READY=1, which the init does not
	Gateless bool     // there is no gate to ask at
	// Filters is the SHA-256 sum of the file of filters in hexadecimal digits;
	// empty where systemd-nspawn installs them.
	Filters string
	// Nix is the system to tell the guest's own Nix of, whose init Init is;
	// empty where it has none. Another system may be booted then; see
	// enrol.Chosen.
	Nix string
}

// Args are the program and arguments with which a guest is started.
func (t Task) Args() []string {
	args := []string{Dir + "/" + Program, Command}
	if t.Announce {
		args = append(args, announce)
	}
	if t.Gateless {
		args = append(args, gateless)
	}
	if t.Filters != "" {
		args = append(args, filtered+t.Filters)
	}
	if t.Nix != "" {
		args = append(args, enrols+t.Nix)
	}
	return append(args, t.Init...)
}

// parse is the reverse of Args, from the argument after Command on.
func parse(args []string) (t Task, ok bool) {
	for ; len(args) > 0; args = args[1:] {
		sum, hasSum := strings.CutPrefix(args[0], filtered)
		system, hasSystem := strings.CutPrefix(args[0], enrols)
		switch {
		case args[0] == announce:
			t.Announce = true
		case args[0] == gateless:
			t.Gateless = true
		case hasSum && sum != "":
			t.Filters = sum
		case hasSystem && system != "":
			t.Nix = system
		default:
			t.Init = args
			return t, strings.HasPrefix(args[0], "/")
		}
	}
	return t, false
}

// Begun reports whether a process with this command line, as in
// /proc/PID/cmdline, has still to become the guest's init.
func Begun(cmdline []byte) bool {
	return bytes.HasPrefix(cmdline, []byte(Dir+"/"+Program+"\x00"+Command+"\x00"))
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
	t, ok := parse(args)
	if !ok {
		fmt.Fprintf(os.Stderr, "berth: preinit: %q is not what a guest is started with\n", args)
		return 2
	}
	if err := t.run(Dir); err != nil {
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

func (t Task) run(dir string) error {
	filters, err := t.filters(dir)
	if err != nil {
		return err
	}
	if t.Gateless {
		t.enrol(dir)
		return t.become(filters)
	}
	gate, err := net.Dial("unix", dir+"/"+Socket)
	if err != nil {
		return fmt.Errorf("ask for the guest's network: %w", err)
	}
	defer gate.Close()
	if err := pass(gate); err != nil {
		return err
	}
	t.enrol(dir)
	err = t.become(filters)
	// The host keeps the reason, and hangs up; the console has it in any case.
	if _, said := fmt.Fprintln(gate, err); said == nil {
		_, _ = io.Copy(io.Discard, gate)
	}
	return err
}

// enrol readies the guest's own Nix, and chooses what is booted. A Nix that does
// not work is no reason not to boot: how could it be mended otherwise?
func (t Task) enrol(dir string) {
	if t.Nix == "" {
		return
	}
	registration, err := os.Open(filepath.Join(dir, Registration))
	if err == nil {
		defer registration.Close()
		err = enrol.System(context.Background(), t.Nix, registration)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth: tell the guest's Nix of its system:", err)
		return
	}
	if chosen := enrol.Chosen(t.Nix); chosen != t.Nix {
		fmt.Fprintf(os.Stderr, "berth: the guest boots %s, to which it has switched itself\n", chosen)
		t.Init[0] = chosen + strings.TrimPrefix(t.Init[0], t.Nix)
	}
}

// pass waits at the gate, and does what is said there.
func pass(gate net.Conn) error {
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
	return nil
}

// filters are those to install: none where systemd-nspawn does it, also of its
// own accord.
func (t Task) filters(dir string) ([][]unix.SockFilter, error) {
	if t.Filters == "" {
		return nil, nil
	}
	if has, err := namespace.Filtered(); err != nil || has {
		return nil, err
	}
	b, err := os.ReadFile(dir + "/" + Filters)
	if err != nil {
		return nil, fmt.Errorf("install the guest's system call filters: %w", err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != t.Filters {
		return nil, errors.New("install the guest's system call filters: their file is not the one that was chosen")
	}
	f, err := namespace.ParseFilters(b)
	if err == nil && len(f) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("install the guest's system call filters: %w", err)
	}
	return f, nil
}

// become returns only with an error.
func (t Task) become(filters [][]unix.SockFilter) error {
	if t.Announce {
		told, err := daemon.SdNotify(false, daemon.SdNotifyReady)
		if err == nil && !told {
			err = errors.New("NOTIFY_SOCKET is not set")
		}
		if err != nil {
			return fmt.Errorf("tell that the guest is ready: %w", err)
		}
	}
	return namespace.Become(t.Init[0], t.Init, os.Environ(), filters)
}
