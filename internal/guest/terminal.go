package guest

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pair of terminal ends in the guest's own devpts, for a
// user of the guest: left to the host's root, whom the guest does not know,
// not even the guest's root could give it to who logs in.
func (g *Guest) openTerminal(user int) (master, slave *os.File, err error) {
	master, err = g.open("dev/pts/ptmx", unix.O_RDWR)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	if err := checkMultiplexer(master); err != nil {
		return nil, nil, err
	}
	err = control(master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
		peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, flags)
		if errno != 0 {
			return errno
		}
		slave = os.NewFile(peer, "terminal")
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	owner, err := g.hostUser(user)
	if err == nil {
		err = slave.Chown(owner, -1)
	}
	if err != nil {
		return nil, nil, errors.Join(err, slave.Close())
	}
	return master, slave, nil
}

// hostUser is the host's number of a user of the guest; see
// user_namespaces(7).
func (g *Guest) hostUser(user int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", g.leader.PID))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, count int
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= user && user-inside < count {
			return outside + user - inside, nil
		}
	}
	return 0, fmt.Errorf("the guest has no user %d", user)
}

// control calls f with the file's descriptor, without taking the file from
// the poller as File.Fd does.
func control(file *os.File, f func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// checkMultiplexer makes sure that what the guest shows as its terminal
// multiplexer is one: device 5:2 on a devpts.
func checkMultiplexer(f *os.File) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	err := control(f, func(fd int) error { return errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)) })
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return errors.New("/dev/pts/ptmx is not a terminal multiplexer")
	}
	return nil
}
