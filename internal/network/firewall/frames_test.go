package firewall

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func ether(to, from net.HardwareAddr, kind uint16, body ...[]byte) []byte {
	return slices.Concat(to, from, port(kind), slices.Concat(body...))
}

// ipv4 is a packet without the sums of its header, which named fills in.
func ipv4(proto byte, from, to netip.Addr, body []byte) []byte {
	return slices.Concat([]byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0}, from.AsSlice(), to.AsSlice(), body)
}

func ipv6(proto byte, from, to netip.Addr, body []byte) []byte {
	return slices.Concat([]byte{0x60, 0, 0, 0, 0, 0, proto, 255}, from.AsSlice(), to.AsSlice(), body)
}

// named is a frame with its name at the end of its packet.
func named(frame []byte, name string) []byte {
	frame = slices.Concat(frame, []byte("<"+name+">"))
	ip := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IPV6:
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40))
	case unix.ETH_P_IP:
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		var sum uint32
		for i := 0; i < 20; i += 2 {
			sum += uint32(binary.BigEndian.Uint16(ip[i:]))
		}
		binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	}
	return frame
}

func datagram(from, to uint16, text string) []byte {
	return slices.Concat(port(from), port(to), port(uint16(8+len(text))), []byte{0, 0}, []byte(text))
}

// summed is a datagram with its sum, without which there is none over IPv6.
func summed(from, to netip.Addr, datagram []byte) []byte {
	out := slices.Clone(datagram)
	var sum uint32
	all := slices.Concat(from.AsSlice(), to.AsSlice(), []byte{0, unix.IPPROTO_UDP}, port(uint16(len(out))), out)
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	for i := 0; i < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(out[6:], ^uint16(sum))
	return out
}

// arpRequest is what says that an address of IP is at one of Ethernet.
func arpRequest(at net.HardwareAddr, ip netip.Addr) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 1}, at, ip.AsSlice(), make([]byte, 6), ip.AsSlice())
}

// neighbour is a message of neighbour discovery, RFC 4861, about an address.
func neighbour(kind byte, about netip.Addr) []byte {
	return slices.Concat([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, about.AsSlice())
}

// wire sees and sends frames at n's eth0.
func (n *ns) wire() int {
	n.t.Helper()
	var fd int
	var err error
	n.do(func() {
		var i *net.Interface
		if i, err = net.InterfaceByName("eth0"); err != nil {
			return
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return
		}
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})
	})
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	n.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// probe sends frames between two wires. Where one is seen, those before it are
// seen or lost.
type probe struct {
	t        *testing.T
	from, to int
}

// spoof is a frame that a guest sends, and whether it may.
type spoof struct {
	name  string
	frame []byte
	pass  bool
}

func (p probe) send(spoofs []spoof) {
	p.t.Helper()
	for _, s := range spoofs {
		if _, err := unix.Write(p.from, named(s.frame, s.name)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// seen are the names of the spoofs that arrive until the one that is last.
func (p probe) seen(last string) map[string]bool {
	p.t.Helper()
	out := map[string]bool{}
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(p.to, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 2048)
	for end := time.Now().Add(patience); !out[last]; {
		n, err := unix.Read(p.to, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil || time.Now().After(end) {
			p.t.Fatalf("%s does not arrive: %v", last, err)
		}
		if from := bytes.LastIndexByte(b[:n], '<'); from >= 0 && b[n-1] == '>' {
			out[string(b[from+1:n-1])] = true
		}
	}
	return out
}

// check sends spoofs, of which the last has to pass, and wants those to pass
// that may.
func (p probe) check(spoofs []spoof) {
	p.t.Helper()
	p.send(spoofs)
	seen := p.seen(spoofs[len(spoofs)-1].name)
	for _, s := range spoofs {
		if seen[s.name] != s.pass {
			p.t.Errorf("%s: passes: %v, not %v", s.name, seen[s.name], s.pass)
		}
	}
}

// hardware is the MAC address of an interface in n.
func (n *ns) hardware(name string) (hw net.HardwareAddr, err error) {
	n.do(func() {
		var i *net.Interface
		if i, err = net.InterfaceByName(name); err == nil {
			hw = i.HardwareAddr
		}
	})
	return hw, err
}

// listen is a socket for datagrams.
func (n *ns) listen(at netip.AddrPort) *net.UDPConn {
	n.t.Helper()
	var c *net.UDPConn
	var err error
	n.do(func() { c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) })
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

// arrived is who sent the next datagram, which either has to come or is there
// already.
func arrived(t *testing.T, c *net.UDPConn, wait bool) netip.Addr {
	t.Helper()
	end := time.Now().Add(time.Millisecond)
	if wait {
		end = time.Now().Add(patience)
	}
	c.SetReadDeadline(end)
	_, from, err := c.ReadFromUDPAddrPort(make([]byte, 100))
	if err != nil && wait {
		t.Fatal(err)
	}
	return from.Addr().Unmap()
}
