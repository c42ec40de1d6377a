package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/mountinfo"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// Where a host keeps machines, and what lasts until its next boot of their
// settings, see systemd.nspawn(5), and of units, see systemd.unit(5).
const (
	machinesDir = "/var/lib/machines"
	settingsDir = "/run/systemd/nspawn"
	unitsDir    = "/run/systemd/system"
)

// machine is a peer in the way of systemd-machined: a root below
// /var/lib/machines, and systemd-nspawn@.service. Its name begins with that of
// the lab's directory, by which it is found again.
type machine struct {
	lab     *lab
	name    string
	overlay rootfs.Root // what mount mounts
}

func (m machine) unit() string { return "systemd-nspawn@" + m.name + ".service" }
func (m machine) root() string { return filepath.Join(machinesDir, m.name) }

// machineSettings give the guest what berth gives its own.
const machineSettings = `[Exec]
Boot=yes
NotifyReady=yes
PrivateUsers=%d:%d
Hostname=%s
MachineID=%s
LinkJournal=no
Timezone=off

[Files]
PrivateUsersOwnership=off

[Network]
VirtualEthernet=no
`

// newMachine is a machine with a range of user numbers of its own, and without
// files yet.
func (l *lab) newMachine() (m machine, base uint32, err error) {
	name := fmt.Sprintf("peer%d", l.peers)
	m = machine{lab: l, name: filepath.Base(l.dir) + "-" + name}
	base = firstPeerBase + uint32(l.peers)*container.IDRange
	l.peers++
	text := fmt.Sprintf(machineSettings, base, container.IDRange, name, machineID())
	return m, base, errors.Join(
		os.MkdirAll(machinesDir, 0o700), os.MkdirAll(settingsDir, 0o755), os.Mkdir(m.root(), 0o755),
		os.WriteFile(filepath.Join(settingsDir, m.name+".nspawn"), []byte(text), 0o644))
}

// copyMachine is a machine on a plain copy of an image, whose owners
// systemd-nspawn itself has shifted.
func (l *lab) copyMachine(ctx context.Context, t *tree) (machine, error) {
	m, base, err := l.newMachine()
	if err != nil {
		return m, err
	}
	if _, _, err := l.timed(ctx, "cp", "-aT", t.rootfs, m.root()); err != nil {
		return m, err
	}
	_, _, err = l.timed(ctx, l.nspawn.Path, "--quiet", "--settings=no", "--register=no", "--machine="+m.name, "--directory="+m.root(),
		fmt.Sprintf("--private-users=%d:%d", base, container.IDRange), "--private-users-ownership=chown", "true")
	return m, err
}

// overlayMachine is a machine on an overlay that is put together as berth does.
func (l *lab) overlayMachine(t *tree) (machine, error) {
	m, base, err := l.newMachine()
	if err != nil {
		return m, err
	}
	dir := l.path("peers", m.name)
	mnt, changes := filepath.Join(dir, "mnt"), filepath.Join(dir, state.Changes)
	err = errors.Join(os.MkdirAll(mnt, 0o700), os.Mkdir(changes, 0o700), rootfs.MakeChanges(changes))
	if err != nil {
		return m, err
	}
	m.overlay = rootfs.Root{Dir: mnt, Image: t.rootfs, Changes: changes, Users: rootfs.IDs{Base: base, Size: container.IDRange}}
	return m, nil
}

// mount mounts the overlay, and leaves nothing else mounted.
func (m machine) mount() error {
	mounted, err := m.overlay.Mount()
	if err == nil {
		err = unix.Mount(mounted.Root, m.root(), "", unix.MS_BIND, "")
	}
	return errors.Join(err, unmount(m.overlay.Dir))
}

// cycle starts the machine and stops it, and gives the times of both.
func (m machine) cycle(ctx context.Context) ([]float64, error) {
	if err := rested(ctx); err != nil {
		return nil, err
	}
	_, start, err := m.lab.timed(ctx, "machinectl", "start", m.name)
	if err != nil {
		return nil, err
	}
	leader, err := m.leader(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(m.lab.settle(ctx, leader), rested(ctx)); err != nil {
		return nil, err
	}
	_, stop, err := m.lab.timed(ctx, "systemctl", "stop", m.unit())
	return []float64{ms(start), ms(stop)}, err
}

// leader is the PID of the init of a running machine.
func (m machine) leader(ctx context.Context) (pid int, err error) {
	b, _, err := m.lab.timed(ctx, "machinectl", "show", "--property=Leader", "--value", m.name)
	if err == nil {
		_, err = fmt.Sscan(string(b), &pid)
	}
	return pid, err
}

// removeMachines stops the machines of the lab and removes all that they have,
// and the lab's units. Where systemd does not run there are none.
func (l *lab) removeMachines(ctx context.Context) error {
	var errs []error
	base := filepath.Base(l.dir)
	machines, err := filepath.Glob(filepath.Join(machinesDir, base+"-*"))
	errs = append(errs, err)
	for _, root := range machines {
		m := machine{lab: l, name: filepath.Base(root)}
		_, _, err := l.timed(ctx, "systemctl", "stop", m.unit())
		_, _, _ = l.timed(ctx, "systemctl", "reset-failed", m.unit()) // it has not failed, most often
		errs = append(errs, err, unmount(m.root()), unmount(l.path("peers", m.name, "mnt")), state.RemoveTree(m.root()),
			os.Remove(filepath.Join(settingsDir, m.name+".nspawn")))
	}
	units, err := filepath.Glob(filepath.Join(unitsDir, base+"-*"))
	errs = append(errs, err)
	template, err := filepath.Glob(filepath.Join(unitsDir, l.paths.Instance()+"@.service"))
	errs = append(errs, err)
	for _, u := range units {
		_, _, err := l.timed(ctx, "systemctl", "stop", filepath.Base(u))
		errs = append(errs, err)
	}
	for _, u := range append(units, template...) {
		errs = append(errs, os.Remove(u))
	}
	if len(units)+len(template) > 0 {
		_, _, err := l.timed(ctx, "systemctl", "daemon-reload")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// unmount takes away all mounts at and below a directory; there may be none.
func unmount(dir string) error {
	for {
		all, err := mountinfo.Below(dir)
		if err != nil || len(all) == 0 {
			return err
		}
		last := all[len(all)-1]
		if err := unix.Unmount(last, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", last, err)
		}
	}
}
