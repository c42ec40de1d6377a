package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"
)

// notify is the socket on which a peer tells of its guest; see sd_notify(3).
type notify struct{ conn *net.UnixConn }

func listenNotify() (*notify, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@berth-bench-" + rand.Text(), Net: "unixgram"})
	return &notify{conn}, err
}

func (n *notify) address() string { return n.conn.LocalAddr().String() }

func (n *notify) close() error { return n.conn.Close() }

// awaitReady waits until the guest is ready and gives the PID of its init. It
// fails when the peer ends before, or ctx does.
func (n *notify) awaitReady(ctx context.Context, ended <-chan error) (leader int, err error) {
	type answer struct {
		leader int
		err    error
	}
	heard := make(chan answer, 1)
	go func() {
		leader, err := n.hear()
		heard <- answer{leader, err}
	}()
	select {
	case a := <-heard:
		return a.leader, a.err
	case err = <-ended:
		err = errors.Join(errors.New("it ended before it was ready"), err)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	_ = n.conn.SetReadDeadline(time.Unix(1, 0))
	<-heard
	return 0, err
}

// hear reads messages until one says READY=1.
func (n *notify) hear() (leader int, err error) {
	buf := make([]byte, 4096)
	for {
		k, err := n.conn.Read(buf)
		if err != nil {
			return 0, err
		}
		ready := false
		for line := range strings.SplitSeq(string(buf[:k]), "\n") {
			if v, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
				leader, _ = strconv.Atoi(v)
			}
			ready = ready || line == "READY=1"
		}
		if ready && leader != 0 {
			return leader, nil
		}
	}
}
