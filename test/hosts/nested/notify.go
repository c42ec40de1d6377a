package nested

import (
	"crypto/rand"
	"net"
	"strings"
)

// notify is the socket on which systemd-nspawn says that a host is ready, in
// the protocol of sd_notify(3).
type notify struct{ *net.UnixConn }

func listen() (notify, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@" + prefix + rand.Text(), Net: "unixgram"})
	return notify{conn}, err
}

// Address is the value for NOTIFY_SOCKET.
func (n notify) Address() string { return n.LocalAddr().String() }

// Ready gets one value: nil when the host is ready, or an error.
func (n notify) Ready() <-chan error {
	ready := make(chan error, 1)
	go func() {
		buf := make([]byte, 4096)
		for {
			k, err := n.Read(buf)
			if err != nil || strings.Contains("\n"+string(buf[:k])+"\n", "\nREADY=1\n") {
				ready <- err
				return
			}
		}
	}()
	return ready
}
