package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// manyPorts is how many ports lead to a guest where there are many.
const manyPorts = 10_000

// connections is how many are opened in one trial.
const connections = 200

// measureConnect gives the rows of new connections through one of many ports.
func measureConnect(ctx context.Context, l *lab) (rows []row, err error) {
	var trials []trial
	for _, ports := range []uint16{manyPorts, 1} {
		w, err := l.newWires(ctx, fmt.Sprint("connect", ports), ports)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, w.close(ctx)) }()
		s, err := w.guest.serve(wirePort, func(net.Conn) {})
		if err != nil {
			return nil, err
		}
		defer s.close()
		trials = append(trials, w.machine.connects(hostOutside+portedPort), w.host.connects("127.0.0.1"+portedPort))
	}
	s, err := interleave(ctx, streams*l.n, trials...)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("new connections: opened and reset one after the other, the mean of %d, to the first port of a range of %d and to a range of one; each on a host of its own", connections, manyPorts)
	what := fmt.Sprintf(" with %d forwarded ports, against 1", manyPorts)
	return []row{
		{What: "new connection from another machine" + what, Unit: "us", Berth: s[0][0], Peer: s[2][0], Ratio: 1.1, Notes: []string{note}},
		{What: "new connection from the host's 127.0.0.1" + what, Unit: "us", Berth: s[1][0], Peer: s[3][0], Ratio: 1.1},
	}, nil
}

// connects opens connections from p, and gives the mean time in microseconds.
func (p *place) connects(to string) trial {
	return func(ctx context.Context) ([]float64, error) {
		var took time.Duration
		err := p.do(func() error {
			begun := time.Now()
			for range connections {
				c, err := net.Dial("tcp", to)
				if err != nil {
					return err
				}
				if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
					return err
				}
			}
			took = time.Since(begun)
			return nil
		})
		return []float64{took.Seconds() * 1e6 / connections}, err
	}
}
