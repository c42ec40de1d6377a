package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/rootfs"
)

// launchWord is the first argument of a bench that is to become a peer.
const launchWord = "launch"

// The files that a launch is started with, beside its streams.
const (
	gateFile     = 3 + iota // is waited for
	preparedFile            // is told when all is ready for the exec
)

// launch is what a peer is started with.
type launch struct {
	Group string       // the cgroup to move into, which is there
	Root  *rootfs.Root // an overlay to mount first, in this mount namespace
	At    string       // where the overlay has to be then
	Argv  []string     // of systemd-nspawn, with its path first
	Env   []string
}

// becomeNspawn prepares what args[0] says in JSON, waits for the gate, and
// becomes systemd-nspawn. It returns only with an error.
func becomeNspawn(args []string) error {
	var p launch
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		return err
	}
	unix.CloseOnExec(gateFile)
	unix.CloseOnExec(preparedFile)
	h, err := cgroup.Mounted()
	if err != nil {
		return err
	}
	if err := h.Group(p.Group).Join(0); err != nil {
		return err
	}
	if err := p.mount(); err != nil {
		return err
	}
	var b [1]byte
	if _, err := unix.Write(preparedFile, b[:]); err != nil {
		return err
	}
	if n, err := unix.Read(gateFile, b[:]); n != 1 {
		return errors.Join(errors.New("bench has ended"), err)
	}
	return unix.Exec(p.Argv[0], p.Argv, p.Env)
}

func (p launch) mount() error {
	if p.Root == nil {
		return nil
	}
	if err := rootfs.Isolate(); err != nil {
		return err
	}
	m, err := p.Root.Mount()
	if err == nil && m.Root != p.At {
		err = fmt.Errorf("the root is at %s, not at %s", m.Root, p.At)
	}
	return err
}

// start runs p up to its exec, with its streams in the file console.
func (p launch) start(console string) (*process, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	gateRead, gate, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gateRead.Close()
	prepared, preparedWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, gate.Close())
	}
	defer prepared.Close()
	c := &process{gate: gate}
	if err := c.run(string(b), console, p.Root != nil, gateRead, preparedWrite); err != nil {
		return nil, errors.Join(err, preparedWrite.Close(), gate.Close())
	}
	preparedWrite.Close()
	if n, err := prepared.Read(make([]byte, 1)); n != 1 {
		gate.Close()
		return nil, errors.Join(errors.New("a peer could not be prepared"), err, <-c.ended)
	}
	return c, nil
}
