package dns

import (
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchLen is how many messages are received, and sent, by one system call.
const batchLen = 32

// batch is room for messages that come at once, and for their answers.
type batch struct {
	conn     syscall.RawConn
	in       [batchLen][ownUDP]byte
	out      [batchLen][maxQuery]byte
	from     [batchLen]unix.RawSockaddrInet6 // or that of IPv4, which is shorter
	received [batchLen]multi
	toSend   [batchLen]multi
	inVec    [batchLen]unix.Iovec
	outVec   [batchLen]unix.Iovec
}

// multi is struct mmsghdr of recvmmsg(2).
type multi struct {
	unix.Msghdr
	length uint32
}

func newBatch(conn *net.UDPConn) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{conn: raw}
	for i := range batchLen {
		b.inVec[i].Base = &b.in[i][0]
		b.inVec[i].SetLen(ownUDP)
		b.received[i].Iov, b.outVec[i].Base = &b.inVec[i], &b.out[i][0]
		b.received[i].SetIovlen(1)
	}
	return b, nil
}

// receive waits for messages, and gives how many have come.
func (b *batch) receive() (n int, err error) {
	var errno syscall.Errno
	for i := range b.received {
		b.received[i].Name = (*byte)(unsafe.Pointer(&b.from[i]))
		b.received[i].Namelen = unix.SizeofSockaddrInet6
	}
	err = b.conn.Read(func(fd uintptr) bool {
		var count uintptr
		count, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.received[0])), batchLen, unix.MSG_DONTWAIT, 0, 0)
		n = int(count)
		return errno != unix.EAGAIN && errno != unix.EINTR
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, errno
	}
	return n, nil
}

// message is the i-th that was received; one that was cut is nil.
func (b *batch) message(i int) []byte {
	if b.received[i].Flags&unix.MSG_TRUNC != 0 {
		return nil
	}
	return b.in[i][:b.received[i].length]
}

// sender is who sent the i-th message.
func (b *batch) sender(i int) netip.AddrPort {
	if b.from[i].Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&b.from[i]))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), swap(four.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b.from[i].Addr).Unmap(), swap(b.from[i].Port))
}

// swap reads a port in the order of the network.
func swap(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// reply makes the first n bytes of out[i] the next answer to send, for the
// sender of the i-th message; sent is how many there are before.
func (b *batch) reply(i, n, sent int) {
	b.outVec[i].SetLen(n)
	m := &b.toSend[sent]
	m.Iov = &b.outVec[i]
	m.SetIovlen(1)
	m.Name, m.Namelen = b.received[i].Name, b.received[i].Namelen
}

// send sends the first n answers, as far as there is room: whoever gets none
// asks again.
func (b *batch) send(n int) {
	for done := 0; done < n; {
		var count uintptr
		var errno syscall.Errno
		err := b.conn.Write(func(fd uintptr) bool {
			count, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.toSend[done])), uintptr(n-done), unix.MSG_DONTWAIT, 0, 0)
			return true
		})
		if err != nil || errno == unix.EAGAIN {
			return
		}
		if errno != 0 {
			count = 1 // the one whose client cannot be reached
		}
		done += int(count)
	}
}
