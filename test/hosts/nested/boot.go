package nested

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/process"
)

// The time a host gets to come up and to go down.
const (
	bootLimit = 2 * time.Minute
	haltLimit = 30 * time.Second
)

// haltSignal asks systemd to power off: SIGRTMIN+3; see systemd(1).
const haltSignal = unix.Signal(34 + 3)

// machine is a host that runs.
type machine struct {
	nspawn *exec.Cmd
	ended  chan struct{} // closed when nothing of it is left
	err    error         // how systemd-nspawn ended, then
	leader *process.Process
}

// Boot switches the host on and returns when its systemd has started all that
// it starts at boot.
func (h *Host) Boot(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("boot %s: %w\nits console:\n%s", h.Name, err, h.Console(25))
		}
	}()
	n, err := listen()
	if err != nil {
		return err
	}
	defer n.Close()
	m, err := h.launch(n.Address())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	select {
	case err = <-n.Ready():
	case <-m.ended:
		err = fmt.Errorf("systemd-nspawn ended: %w", errors.Join(m.err, errors.New("before the host was ready")))
	case <-ctx.Done():
		err = fmt.Errorf("it is not ready: %w", context.Cause(ctx))
	}
	if err == nil {
		m.leader, err = leaderOf(m.nspawn.Process.Pid)
	}
	if err != nil {
		m.kill()
		return err
	}
	h.running = m
	return nil
}

// Console is the last of what the host wrote to its console, at most n lines.
func (h *Host) Console(n int) string {
	b, err := os.ReadFile(h.console())
	if err != nil {
		return err.Error()
	}
	return lastLines(string(b[max(0, len(b)-tailSize):]), n)
}

// preparation runs before systemd-nspawn, as PID 1 of its own namespace: it
// waits until it is in its control group, and gives systemd-nspawn a /proc that
// fits and a /run that goes with it.
const preparation = `read -r _ && mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run && exec "$0" "$@" </dev/null`

// launch starts systemd-nspawn.
func (h *Host) launch(notify string) (*machine, error) {
	console, err := os.OpenFile(h.console(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	gate, joined, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	defer joined.Close()
	cmd := exec.Command("sh", append([]string{"-c", preparation, "systemd-nspawn"}, h.arguments()...)...)
	cmd.Dir = "/"
	// The host's systemd shall see cgroup v2 only, which that of sid insists on.
	// As a machine's own, its PID 1 has no system call filter.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + notify, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "SYSTEMD_SECCOMP=0"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = gate, console, console
	m := &machine{nspawn: cmd, ended: make(chan struct{})}
	if err := m.startTied(); err != nil {
		return nil, err
	}
	err = h.group.Child(h.Name).Join(cmd.Process.Pid)
	if err == nil {
		_, err = io.WriteString(joined, "go\n")
	}
	if err != nil {
		m.kill()
		return nil, err
	}
	return m, nil
}

// arguments are those of systemd-nspawn(1).
func (h *Host) arguments() []string {
	a := []string{
		"--quiet", "--settings=no", "--register=no", "--keep-unit",
		"--directory=" + h.root(), "--machine=" + h.Name,
		"--notify-ready=yes", "--console=read-only", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
		"--private-network", "--private-users=no", "--capability=all",
		"--bind=/dev/net/tun", "--bind=/dev/fuse",
	}
	for _, inside := range slices.Sorted(maps.Keys(h.Binds)) {
		a = append(a, "--bind-ro="+h.Binds[inside]+":"+inside)
	}
	if h.Memory > 0 {
		a = append(a, "--bind="+h.disk()+":"+systemdState)
	}
	return append(a, "--boot")
}

// startTied starts systemd-nspawn as PID 1 of a namespace, so that the kernel
// kills all of the host with it, and it with this program.
func (m *machine) startTied() error {
	m.nspawn.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Setsid: true, Pdeathsig: syscall.SIGKILL,
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig goes by the thread
		err := m.nspawn.Start()
		started <- err
		if err == nil {
			m.err = m.nspawn.Wait()
			close(m.ended)
		}
	}()
	return <-started
}

// kill ends the host at once, and returns when it has.
func (m *machine) kill() {
	_ = m.nspawn.Process.Kill() // an error means that it has ended
	<-m.ended
	if m.leader != nil {
		m.leader.Close()
	}
}

// PowerOff shuts the host down. One that does not follow is killed, which is
// an error.
func (h *Host) PowerOff(ctx context.Context) error {
	m := h.running
	h.running = nil
	defer m.kill()
	if err := m.leader.Signal(haltSignal); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, haltLimit)
	defer cancel()
	select {
	case <-m.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not shut down: %w\nits console:\n%s", h.Name, context.Cause(ctx), h.Console(15))
	}
}

// leaderOf is the one child of a systemd-nspawn whose guest is ready. What
// systemd-nspawn itself tells is a PID of its own namespace.
func leaderOf(nspawn int) (*process.Process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("systemd-nspawn has children %q, not one", b)
	}
	return process.Open(pid)
}
