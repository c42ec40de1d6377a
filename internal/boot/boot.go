// Package boot knows what guests boot: which program is the init of a root,
// whether it says when it is ready, and how it is asked to shut down. It only
// reads; internal/guest does the asking.
package boot

import "golang.org/x/sys/unix"

// Init is the program that a guest runs as PID 1. The zero Init is systemd,
// where systemd-nspawn --boot finds it.
type Init struct {
	Kind Kind `json:"kind,omitempty"`
	// Path is where the guest has it.
	Path string `json:"path,omitempty"`
}

// Kind is a family of inits that are treated alike.
type Kind string

// The kinds of inits.
const (
	Systemd  Kind = "systemd"
	Script   Kind = "systemd by a script" // which ends by becoming systemd
	SysVinit Kind = "sysvinit"            // often with OpenRC or sysv-rc below it
	OpenRC   Kind = "openrc-init"
	BusyBox  Kind = "busybox" // toybox too
	Runit    Kind = "runit"
	Notifier Kind = "unknown, says READY=1"
	Unknown  Kind = "unknown"
)

// Found reports whether systemd-nspawn --boot starts this init.
func (i Init) Found() bool { return i.Kind == "" || i.Kind == Systemd }

// Systemd reports whether systemd ends up as PID 1.
func (i Init) Systemd() bool { return i.Found() || i.Kind == Script }

// Notifies reports whether the init says READY=1, as in sd_notify(3). One that
// does not is ready as soon as it runs: there is nothing else to go by.
func (i Init) Notifies() bool { return i.Systemd() || i.Kind == Notifier }

// HaltSignal is what makes the init shut the guest down and power off.
func (i Init) HaltSignal() unix.Signal {
	switch {
	case i.Systemd():
		return unix.Signal(34 + 3) // SIGRTMIN+3; see systemd(1)
	case i.Kind == BusyBox:
		return unix.SIGUSR2 // SIGTERM would be a reboot
	case i.HaltCommand() != nil:
		return unix.SIGPWR // of no use but where an image is made for LXC; see HaltCommand
	}
	return unix.SIGTERM
}

// HaltSignalName is HaltSignal in words that systemd-nspawn(1) knows.
func (i Init) HaltSignalName() string {
	if s := i.HaltSignal(); s < 34 {
		return unix.SignalName(s)
	}
	return "SIGRTMIN+3"
}

// HaltCommand is a program of the guest that asks the init to shut down, for
// inits that take no signal for that; otherwise nil.
func (i Init) HaltCommand() []string {
	switch i.Kind {
	case SysVinit:
		return []string{"/proc/1/exe", "0"} // the runlevel; see init(8). At Path may be another init by now
	case Runit:
		return []string{i.Path, "0"} // PID 1 has become another program
	}
	return nil
}
