package guest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/process"
)

// Guest is a running guest, held by its init.
type Guest struct {
	leader  *process.Process
	start   uint64   // when it started; see process.StartTime
	root    *os.File // its root directory, opened O_PATH
	cgroups cgroup.Hierarchies
	filters string // the file that keeps its system call filters; empty: none
}

// ErrEnded says that the guest does not run any more.
var ErrEnded = errors.New("the guest has just ended")

// ErrNoRoot says that the guest's init is there, but still has the host's root:
// what is done in the guest would be done on the host.
var ErrNoRoot = errors.New("the guest has no root of its own yet")

// Open holds on to the guest whose init has the PID leader and started at the
// time start; see process.StartTime. The error where that has ended matches
// ErrEnded, and ErrNoRoot where it has hardly begun.
func Open(leader int, start uint64, h cgroup.Hierarchies) (*Guest, error) {
	g, err := Hold(leader, start, h)
	if err != nil {
		return nil, err
	}
	if own, err := ownRoot(g.root); err != nil || !own {
		return nil, errors.Join(cmp.Or(err, ErrNoRoot), g.Close())
	}
	return g, nil
}

// Hold is Open for a guest that may have hardly begun, and still has the host's
// root. It is good for Halt.
func Hold(leader int, start uint64, h cgroup.Hierarchies) (*Guest, error) {
	p, err := process.OpenStarted(leader, start)
	if err != nil {
		return nil, ErrEnded
	}
	root, err := os.OpenFile(fmt.Sprintf("/proc/%d/root", leader), unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrEnded
		if _, ended := process.StartTime(leader); ended == nil { // another thread than the first is just becoming a program
			err = ErrNoRoot
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &Guest{leader: p, start: start, root: root, cgroups: h}, nil
}

// ownRoot reports whether a directory is not the host's root.
func ownRoot(dir *os.File) (bool, error) {
	theirs, err := dir.Stat()
	if err != nil {
		return false, err
	}
	ours, err := os.Stat("/")
	return err == nil && !os.SameFile(theirs, ours), err
}

// explain is err, or that the guest has ended, if that is why.
func (g *Guest) explain(err error) error {
	if _, ended := process.StartTime(g.leader.PID); ended != nil {
		return ErrEnded
	}
	return err
}

// Close lets go of the guest.
func (g *Guest) Close() error { return errors.Join(g.root.Close(), g.leader.Close()) }

// Root is the guest's root directory, opened O_PATH. It is good until Close.
func (g *Guest) Root() *os.File { return g.root }

// open opens a file of the guest as the guest would see the path, which the
// kernel keeps from leading out of its root.
func (g *Guest) open(path string, flags int) (*os.File, error) {
	flags |= unix.O_CLOEXEC
	if flags&unix.O_PATH == 0 { // which goes with no others
		flags |= unix.O_NOCTTY | unix.O_NONBLOCK
	}
	fd, err := unix.Openat2(int(g.root.Fd()), path, &unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// maxFile is how much of a guest's file is read, in bytes.
const maxFile = 1 << 20

// readFile reads a regular file of the guest.
func (g *Guest) readFile(path string) ([]byte, error) {
	f, err := g.open(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s in the guest is not a regular file", path))
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// namespaces are the CLONE_NEW… flags of those namespaces in which the guest
// is not with us.
func (g *Guest) namespaces() (int, error) {
	flags := 0
	for _, ns := range namespace.Kinds() {
		ours, err := os.Readlink("/proc/self/ns/" + ns.Name)
		if err != nil {
			return 0, err
		}
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", g.leader.PID, ns.Name))
		if err != nil {
			return 0, err
		}
		if ours != theirs {
			flags |= ns.Flag
		}
	}
	return flags, nil
}

// confinement is what a program has to have of the guest's init.
type confinement struct {
	bounding uint64 // the capabilities that it may ever have, as bits
	filters  int    // how many seccomp filters it has; negative: the kernel does not tell
}

func (g *Guest) confinement() (confinement, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.leader.PID))
	if err != nil {
		return confinement{}, err
	}
	return parseConfinement(string(b))
}

// parseConfinement reads the form of proc_pid_status(5).
func parseConfinement(status string) (confinement, error) {
	c := confinement{filters: -1}
	err := errors.New("/proc/PID/status has no CapBnd")
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "CapBnd":
			c.bounding, err = strconv.ParseUint(value, 16, 64)
		case "Seccomp_filters": // since Linux 5.9
			if n, err := strconv.Atoi(value); err == nil {
				c.filters = n
			}
		}
	}
	return c, err
}
