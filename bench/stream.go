package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// streamTime is how long data is sent in one trial.
const streamTime = 400 * time.Millisecond

// server accepts connections in a place, and does serve with each.
type server struct{ listener net.Listener }

func (p *place) serve(address string, serve func(net.Conn)) (s server, err error) {
	err = p.do(func() (err error) {
		s.listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		return s, err
	}
	go func() {
		for {
			c, err := s.listener.Accept()
			if err != nil {
				return // it was closed
			}
			go func() {
				serve(c)
				c.Close()
			}()
		}
	}()
	return s, nil
}

func (s server) close() error { return s.listener.Close() }

// sink reads all that comes, and tells how much, for a byte that is asked for
// at the end of the stream.
func sink(c net.Conn) {
	n, _ := discard(c)
	fmt.Fprintln(c, n)
}

// discard reads to the end.
func discard(r io.Reader) (n int64, err error) {
	b := make([]byte, streamBuffer)
	for {
		k, err := r.Read(b)
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// streamBuffer is how much is read and written at once.
const streamBuffer = 128 << 10

// dial connects from p.
func (p *place) dial(ctx context.Context, to string) (c net.Conn, err error) {
	err = p.do(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp", to)
		return err
	})
	return c, err
}

// stream sends from p to a sink, and gives the gigabits a second that arrived.
func (p *place) stream(to string) trial {
	return func(ctx context.Context) ([]float64, error) {
		if err := rested(ctx); err != nil {
			return nil, err
		}
		c, err := p.dial(ctx, to)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		b := make([]byte, streamBuffer)
		begun := time.Now()
		for time.Since(begun) < streamTime {
			if _, err := c.Write(b); err != nil {
				return nil, err
			}
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return nil, err
		}
		var n int64
		if _, err := fmt.Fscan(c, &n); err != nil {
			return nil, err
		}
		return []float64{float64(n) * 8 / 1e9 / time.Since(begun).Seconds()}, nil
	}
}
