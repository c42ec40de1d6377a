package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"github.com/berth-containers/berth/container"
)

// dnsmasqPort is where the peer answers, beside berth on the same address.
const dnsmasqPort = 5353

// namedGuests is how many guests have names.
const namedGuests = 50

// measureDNS gives the row of names that are asked for.
func measureDNS(ctx context.Context, l *lab) (rows []row, err error) {
	h, err := l.newHost(ctx, "dns")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	var hosts strings.Builder
	var names []string
	for i := range namedGuests {
		is := lease(i)
		is.AllowHost = []container.HostPort{{Protocol: "udp", First: dnsmasqPort, Last: dnsmasqPort}}
		if _, err := h.attach(ctx, is); err != nil {
			return nil, err
		}
		name := string(is.Name) + ".containers"
		for _, a := range is.Links[0].Addresses {
			fmt.Fprintf(&hosts, "%s %s\n", a.Addr(), name)
		}
		names = append(names, name)
	}
	file := l.path("dnsmasq.hosts")
	if err := os.WriteFile(file, []byte(hosts.String()), 0o644); err != nil {
		return nil, err
	}
	gateway := benchSubnet.Addr().Next().String()
	ctx, stop := context.WithCancel(ctx)
	own, err1 := h.background(ctx, l.options.berth, "--root", h.paths.Root, "names")
	peer, err2 := h.background(ctx, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--addn-hosts="+file,
		"--listen-address="+gateway, "--bind-interfaces", fmt.Sprintf("--port=%d", dnsmasqPort), "--user=root", "--pid-file=")
	defer func() {
		stop()
		own()
		peer()
	}()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	s, err := interleave(ctx, spread*l.n, h.guests[0].asks(gateway, 53, names), h.guests[0].asks(gateway, dnsmasqPort, names))
	if err != nil {
		return nil, err
	}
	return []row{{What: "names answered each second, against dnsmasq", Unit: "/s", Berth: s[0][0], Peer: s[1][0], Least: 1, Notes: []string{
		fmt.Sprintf("names: A records of %d guests, asked for by one of them over UDP, at most %d questions at a time, for 0.4 s; both servers run all the time, and one is asked at a time; dnsmasq %s",
			namedGuests, askBatch*askSockets, firstLine(exec.Command("dnsmasq", "--version")))}}}, nil
}

// background starts a program in the place that runs until ctx ends; wait waits for
// that.
func (p *place) background(ctx context.Context, program string, args ...string) (wait func(), err error) {
	cmd := command(ctx, program, args...)
	if err := p.start(cmd); err != nil {
		return func() {}, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is asked to end
		close(ended)
	}()
	return func() { <-ended }, nil
}

// askTime is how long is asked in one trial.
const askTime = 400 * time.Millisecond

// Questions are asked so many at once, from so many sockets.
const (
	askBatch   = 32
	askSockets = 2
)

// asks asks for names all the time, and gives how many are answered each
// second.
func (p *place) asks(server string, port int, names []string) trial {
	return func(ctx context.Context) ([]float64, error) {
		if err := rested(ctx); err != nil {
			return nil, err
		}
		type result struct {
			n   int
			err error
		}
		results := make(chan result)
		begun := time.Now()
		for range askSockets {
			go func() {
				n, err := p.ask(fmt.Sprintf("%s:%d", server, port), names, begun.Add(askTime))
				results <- result{n, err}
			}()
		}
		total := 0
		var errs []error
		for range askSockets {
			r := <-results
			total += r.n
			errs = append(errs, r.err)
		}
		return []float64{float64(total) / time.Since(begun).Seconds()}, errors.Join(errs...)
	}
}

// askPatience is how long a server may not answer: it may just have started.
const askPatience = 200 * time.Millisecond

// ask asks from one socket until a time. Questions whose answers do not come
// are asked no more.
func (p *place) ask(server string, names []string, until time.Time) (answered int, err error) {
	var c net.Conn
	err = p.do(func() (err error) {
		c, err = net.Dial("udp4", server)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	conn := ipv4.NewPacketConn(c.(*net.UDPConn))
	out, in := make([]ipv4.Message, askBatch), make([]ipv4.Message, askBatch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, dns.MinMsgSize)}
	}
	for next := 0; time.Now().Before(until); next += askBatch {
		for i := range out {
			q := new(dns.Msg).SetQuestion(names[(next+i)%len(names)]+".", dns.TypeA)
			b, err := q.Pack()
			if err != nil {
				return answered, err
			}
			out[i].Buffers = [][]byte{b}
		}
		n, err := exchange(conn, out, in)
		if answered += n; err != nil {
			return answered, err
		}
	}
	if answered == 0 {
		return 0, fmt.Errorf("%s answers nothing", server)
	}
	return answered, nil
}

// exchange sends questions, and gives how many were answered with an address.
func exchange(conn *ipv4.PacketConn, out, in []ipv4.Message) (answered int, err error) {
	for rest := out; len(rest) > 0; {
		n, err := conn.WriteBatch(rest, 0)
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	if err := conn.SetReadDeadline(time.Now().Add(askPatience)); err != nil {
		return 0, err
	}
	for came := 0; came < len(out); {
		n, err := conn.ReadBatch(in[:len(out)-came], 0)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return answered, nil
		} else if err != nil {
			return answered, err
		}
		for _, m := range in[:n] {
			b := m.Buffers[0][:m.N]
			if m.N < 12 || b[3]&0xf != dns.RcodeSuccess || b[7] != 1 { // see RFC 1035, 4.1.1
				return answered, fmt.Errorf("an answer of %d bytes with code %d", m.N, b[3]&0xf)
			}
			answered++
		}
		came += n
	}
	return answered, nil
}
