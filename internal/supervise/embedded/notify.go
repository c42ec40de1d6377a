package embedded

import (
	"crypto/rand"
	"net"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
)

// notify is the socket on which systemd-nspawn tells of the guest, in the
// protocol of sd_notify(3).
type notify struct {
	conn   *net.UnixConn
	ready  chan struct{} // gets one value when the guest says READY=1
	leader chan int      // gets the PID of the guest's init
}

// listenNotify opens a socket in the abstract name space: a path may be too
// long for a socket. Its name cannot be guessed, and senders are checked. The
// name space is that of the network namespace mounted at netns, where
// systemd-nspawn is going to run, unless that is empty.
func listenNotify(netns string) (*notify, error) {
	addr := &net.UnixAddr{Name: "@berth-" + rand.Text(), Net: "unixgram"}
	var conn *net.UnixConn
	listen := func() (err error) {
		conn, err = net.ListenUnixgram("unixgram", addr)
		return err
	}
	var err error
	if netns == "" {
		err = listen()
	} else {
		err = namespace.InNetwork(netns, listen)
	}
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var opt error
	if err := raw.Control(func(fd uintptr) { opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err != nil {
		return nil, err
	}
	return &notify{conn: conn, ready: make(chan struct{}, 1), leader: make(chan int, 1)}, opt
}

// Address is the value for NOTIFY_SOCKET.
func (n *notify) Address() string { return n.conn.LocalAddr().String() }

// Close ends Listen.
func (n *notify) Close() error { return n.conn.Close() }

// Listen hears what the process sender says until Close.
func (n *notify) Listen(sender int) {
	buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		k, ok, _, _, err := n.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		if from(oob[:ok]) == sender {
			n.hear(string(buf[:k]))
		}
	}
}

func (n *notify) hear(message string) {
	for line := range strings.SplitSeq(message, "\n") {
		if line == "READY=1" {
			select {
			case n.ready <- struct{}{}:
			default:
			}
		}
		if v, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
			if pid, err := strconv.Atoi(v); err == nil && pid > 0 {
				n.leader <- pid
			}
		}
	}
}

// from is the PID in the credentials of a message, or 0.
func from(oob []byte) int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range msgs {
		if c, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			return int(c.Pid)
		}
	}
	return 0
}
