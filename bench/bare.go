package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// firstPeerBase is where the peers' ranges of user numbers begin: behind the
// last that berth gives a container.
const firstPeerBase = 0x70000000

// readyLimit and stopLimit are the times that a peer may take.
const (
	readyLimit = 2 * time.Minute
	stopLimit  = 90 * time.Second
)

// bare is a peer: a systemd-nspawn with the arguments that berth would give
// it, in a cgroup of its own, and nothing around it. It can be started again
// after a stop.
type bare struct {
	lab    *lab
	dir    string
	config nspawn.Config
	extra  []string     // further arguments
	root   *rootfs.Root // an overlay to run on; nil for a plain directory
	group  cgroup.Group

	process *process // from prepare to stop
	notify  *notify
	leader  int
}

// newBare is a peer with a range of user numbers and a directory of its own.
func (l *lab) newBare(root string) (*bare, error) {
	name := fmt.Sprintf("peer%d", l.peers)
	b := &bare{lab: l, dir: l.path("peers", name), group: l.peerGroup().Child(name)}
	b.config = nspawn.Config{
		Version: l.nspawn.Version, Machine: filepath.Base(l.dir) + "-" + name, Hostname: name, MachineID: machineID(),
		Root: root, UIDBase: firstPeerBase + uint32(l.peers)*container.IDRange,
	}
	l.peers++
	return b, os.MkdirAll(b.dir, 0o700)
}

// newOverlay is a peer on an overlay that is put together as berth does.
func (l *lab) newOverlay(image string) (*bare, error) {
	b, err := l.newBare("")
	if err != nil {
		return nil, err
	}
	mnt, changes := filepath.Join(b.dir, "mnt"), filepath.Join(b.dir, state.Changes)
	b.config.Root = filepath.Join(mnt, "root")
	b.root = &rootfs.Root{Dir: mnt, Image: image, Changes: changes, Users: rootfs.IDs{Base: b.config.UIDBase, Size: container.IDRange}}
	return b, errors.Join(os.Mkdir(mnt, 0o700), os.Mkdir(changes, 0o700), rootfs.MakeChanges(changes))
}

func machineID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}

// prepare does all that is not measured, up to the exec of systemd-nspawn.
func (b *bare) prepare() (err error) {
	if err := errors.Join(b.group.Create(), b.group.AllowDevices(cgroup.StandardDevices())); err != nil {
		return err
	}
	if b.notify, err = listenNotify(); err != nil {
		return err
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=vt220", "NOTIFY_SOCKET=" + b.notify.address()}
	argv := append([]string{b.lab.nspawn.Path}, nspawn.Args(b.config)...)
	p := launch{
		Group: filepath.Join(filepath.Base(b.lab.dir), filepath.Base(b.dir)), Root: b.root, At: b.config.Root,
		Argv: append(argv, b.extra...), Env: append(env, nspawn.Env(b.lab.cgroups.Mode() != "legacy")...),
	}
	b.process, err = p.start(filepath.Join(b.dir, "console.log"))
	return err
}

// start lets a prepared peer go on, and gives the time from its exec until
// its guest is ready.
func (b *bare) start(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	begun := time.Now()
	if err := b.process.open(); err != nil {
		return 0, err
	}
	leader, err := b.notify.awaitReady(ctx, b.process.ended)
	took := time.Since(begun)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(b.dir, "console.log"))
		return 0, fmt.Errorf("%s: %w: %s", b.config.Machine, err, log[max(0, len(log)-1000):])
	}
	b.leader = leader
	return took, nil
}

// stop gives the time from the signal that asks the guest to power off until
// systemd-nspawn has ended.
func (b *bare) stop(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	if err := unix.Kill(b.leader, haltSignal); err != nil {
		return 0, err
	}
	var err error
	select {
	case err = <-b.process.ended:
	case <-time.After(stopLimit):
		err = errors.New("it does not shut down")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	took := time.Since(begun)
	if err != nil {
		err = fmt.Errorf("stop %s: %w", b.config.Machine, err)
	}
	return took, errors.Join(err, b.release())
}

// haltSignal makes systemd as PID 1 power off; see SIGRTMIN+3 in systemd(1).
const haltSignal = unix.Signal(34 + 3)

// release removes the cgroup with all that may be left in it.
func (b *bare) release() error {
	return errors.Join(b.group.Clear(10*time.Second), b.notify.close(), b.process.close())
}

// cycle starts the peer and stops it, and gives the times of both.
func (b *bare) cycle(ctx context.Context) ([]float64, error) {
	if err := b.prepare(); err != nil {
		return nil, err
	}
	if err := rested(ctx); err != nil {
		return nil, errors.Join(err, b.release())
	}
	start, err := b.start(ctx)
	if err != nil {
		return nil, errors.Join(err, b.release())
	}
	if err := errors.Join(b.lab.settle(ctx, b.leader), rested(ctx)); err != nil {
		return nil, errors.Join(err, b.release())
	}
	stop, err := b.stop(ctx)
	return []float64{ms(start), ms(stop)}, err
}

// process is a launch that runs.
type process struct {
	gate  *os.File
	ended chan error // gets one value
}

// run starts this program again as a launch.
func (c *process) run(plan, console string, mounts bool, files ...*os.File) error {
	log, err := os.OpenFile(console, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", launchWord, plan)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if mounts {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNS
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.ended = make(chan error, 1)
	go func() { c.ended <- cmd.Wait() }()
	return nil
}

// open lets the launch go on.
func (c *process) open() error {
	_, err := c.gate.Write([]byte{0})
	return err
}

func (c *process) close() error { return c.gate.Close() }
