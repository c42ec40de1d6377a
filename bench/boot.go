package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

const noteBoot = "boot: berth's containers are started by a unit like berth-autostart.service, which runs `berth start --autostart`; its peers by a target that wants all of the units, as machines.target does. " +
	"From the `systemctl start` of the one or the other to its end; the host itself is up already. " +
	"The peers are on overlays that are mounted before, with NotifyReady=yes and the same namespaces; the inotify limit is raised for both"

// measureBoot gives the rows of many containers that start when the host does.
func measureBoot(ctx context.Context, l *lab) (rows []row, err error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	lower, err := raiseInotify(fleetSize * perGuest)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lower()) }()
	l.say("make %d containers and as many machines", fleetSize)
	b := boot{lab: l}
	if err := b.make(ctx, t); err != nil {
		return nil, err
	}
	s, err := interleave(ctx, l.n, b.berthCycle, b.peerCycle)
	if err != nil {
		return nil, err
	}
	notes := []string{noteBoot}
	if len(b.failed) > 0 {
		notes = append(notes, "boot: what failed in some round: "+strings.Join(b.failed, ", "))
	}
	rows = []row{
		{What: fmt.Sprintf("systemd: boot of %d autostart containers, against %d systemd-nspawn@ units; all are ready", fleetSize, fleetSize), Berth: s[0][0], Peer: s[1][0], Ratio: 1, Notes: notes},
		{What: fmt.Sprintf("systemd: of these %d, failed", fleetSize), Unit: "failed", Berth: s[0][1], Peer: s[1][1], Nothing: true},
	}
	more, err := b.running(ctx)
	return append(rows, more...), err
}

// boot has both sides of the start of many.
type boot struct {
	lab      *lab
	machines []machine
	failed   []string // of all rounds
}

func (b *boot) unit(kind string) string { return filepath.Base(b.lab.dir) + "-" + kind }

// make makes the containers, the machines, and a unit that starts the ones and
// one that starts the others.
func (b *boot) make(ctx context.Context, t *tree) error {
	if err := b.lab.makeContainers(ctx, "boot", fleetSize, t, "autoStart=true"); err != nil {
		return err
	}
	wants := "[Unit]\n"
	if _, _, err := b.lab.run(ctx, "stop", "--all"); err != nil { // they start when they are made
		return err
	}
	for range fleetSize {
		m, err := b.lab.overlayMachine(t)
		if err != nil {
			return err
		}
		b.machines = append(b.machines, m)
		wants += "Wants=" + m.unit() + "\n"
	}
	autostart := fmt.Sprintf("[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=infinity\nExecStart=%s --root %s start --autostart\n",
		b.lab.options.berth, b.lab.paths.Root)
	err := errors.Join(
		os.WriteFile(filepath.Join(unitsDir, b.unit("autostart.service")), []byte(autostart), 0o644),
		os.WriteFile(filepath.Join(unitsDir, b.unit("peers.target")), []byte(wants), 0o644))
	if err != nil {
		return err
	}
	_, _, err = b.lab.timed(ctx, "systemctl", "daemon-reload")
	return err
}

// berthCycle starts all containers as at boot, gives the time and how many
// failed, and stops them.
func (b *boot) berthCycle(ctx context.Context) ([]float64, error) {
	values, err := b.start(ctx)
	_, _, stopped := b.lab.run(ctx, "stop", "--all")
	_, _, ended := b.lab.timed(ctx, "systemctl", "stop", b.unit("autostart.service"))
	return values, errors.Join(err, stopped, ended)
}

func (b *boot) start(ctx context.Context) ([]float64, error) {
	if err := rested(ctx); err != nil {
		return nil, err
	}
	_, took, started := b.lab.timed(ctx, "systemctl", "start", b.unit("autostart.service"))
	all, err := b.lab.list(ctx)
	if err != nil {
		return nil, errors.Join(started, err)
	}
	var failed []string
	for _, s := range all {
		if s.State != container.Running {
			failed = append(failed, fmt.Sprintf("%s (%s: %s)", s.Name, s.State, s.Reason))
		}
	}
	if len(failed) == 0 && (started != nil || len(all) != fleetSize) {
		return nil, errors.Join(started, fmt.Errorf("there are %d containers, not %d", len(all), fleetSize))
	}
	_, _, _ = b.lab.timed(ctx, "systemctl", "reset-failed", b.unit("autostart.service")) // it has not failed, most often
	return b.values("berth", ms(took), failed), nil
}

// peerCycle does the same with the machines, whose overlays are mounted
// meanwhile: every mount namespace that is made would copy them.
func (b *boot) peerCycle(ctx context.Context) (values []float64, err error) {
	defer func() {
		for _, m := range b.machines {
			err = errors.Join(err, unmount(m.root()))
		}
	}()
	for _, m := range b.machines {
		if err := m.mount(); err != nil {
			return nil, err
		}
	}
	if err := rested(ctx); err != nil {
		return nil, err
	}
	var units []string
	for _, m := range b.machines {
		units = append(units, m.unit())
	}
	_, took, err := b.lab.timed(ctx, "systemctl", "start", b.unit("peers.target"))
	if err != nil {
		return nil, err
	}
	active, _, _ := b.lab.timed(ctx, "systemctl", append([]string{"show", "--property=ActiveState", "--value"}, units...)...)
	states := strings.Fields(string(active))
	if len(states) != len(units) {
		return nil, fmt.Errorf("systemctl tells the state of %d of %d units", len(states), len(units))
	}
	var failed []string
	for i, s := range states {
		if s != "active" {
			failed = append(failed, fmt.Sprintf("%s (%s)", units[i], s))
		}
	}
	_, _, stopped := b.lab.timed(ctx, "systemctl", append([]string{"stop", b.unit("peers.target")}, units...)...)
	_, _, _ = b.lab.timed(ctx, "systemctl", append([]string{"reset-failed"}, units...)...) // they have not failed, most often
	return b.values("systemd-nspawn@", ms(took), failed), stopped
}

// values are those of one round.
func (b *boot) values(who string, took float64, failed []string) []float64 {
	b.lab.say("%s: %.0f ms, %d failed", who, took, len(failed))
	for _, f := range failed {
		if !slices.Contains(b.failed, f) {
			b.failed = append(b.failed, f)
		}
	}
	return []float64{took, float64(len(failed))}
}

// running gives the rows of what there is while all containers run.
func (b *boot) running(ctx context.Context) (rows []row, err error) {
	defer func() {
		_, _, stopped := b.lab.run(ctx, "stop", "--all")
		err = errors.Join(err, stopped)
	}()
	if _, err := b.start(ctx); err != nil {
		return nil, err
	}
	if err := b.lab.allRun(ctx, fleetSize); err != nil {
		return nil, err
	}
	all, err := b.lab.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if err := b.lab.settle(ctx, s.Leader); err != nil {
			return nil, err
		}
	}
	own, err := processesOf(b.lab.options.berth)
	if err != nil {
		return nil, err
	}
	kept := 0.0
	if len(own) > 0 {
		if kept, err = private(own); err != nil {
			return nil, err
		}
	}
	rows = []row{
		{What: fmt.Sprintf("systemd: processes of berth with %d containers running", fleetSize), Unit: "processes", Berth: samples{float64(len(own))}, Nothing: true,
			Notes: []string{"processes of berth: all on the host that run its program, whatever for"}},
		{What: fmt.Sprintf("systemd: private memory of berth with %d containers running", fleetSize), Unit: "MB", Berth: samples{kept}, Nothing: true},
	}
	seen, err := b.lab.looks(ctx, string(all[0].Name), fmt.Sprintf("%d containers", fleetSize))
	return append(rows, seen...), err
}

// processesOf are the processes that run a program.
func processesOf(program string) ([]int, error) {
	own, err := os.Stat(program)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		exe, err := os.Stat(filepath.Join("/proc", e.Name(), "exe"))
		// It has ended, is of the kernel, or not even root may look: not berth.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		} else if err != nil {
			return nil, err
		}
		if os.SameFile(own, exe) {
			out = append(out, pid)
		}
	}
	return out, nil
}
