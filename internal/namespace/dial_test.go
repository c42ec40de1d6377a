package namespace

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// listen makes a socket that the guest's root can connect to.
func listen(t *testing.T) (*net.UnixListener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	must(t, os.Chmod(path, 0o777))
	t.Cleanup(func() { l.Close() })
	return l, path
}

func TestDial(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	l, path := listen(t)
	d := Dial{Target: g.pidfd, Flags: allFlags(), Path: path, Farewell: []byte("farewell")}
	for _, c := range []struct {
		farewell bool
		want     string
	}{{false, "said"}, {true, "saidfarewell"}} {
		link, err := d.Connect()
		must(t, err)
		peer, err := l.AcceptUnix()
		must(t, err)
		if u := peerOf(t, peer); u.Uid != 700_000 || u.Gid != 700_000 {
			t.Errorf("the peer sees user %d, group %d", u.Uid, u.Gid)
		}
		_, err = link.Write([]byte("said"))
		must(t, err)
		closed := make(chan error, 1)
		go func() { closed <- link.Close(c.farewell) }()
		got, err := io.ReadAll(peer)
		must(t, err)
		must(t, peer.Close()) // which the farewell waits for
		must(t, <-closed)
		if string(got) != c.want {
			t.Errorf("farewell %v: the peer heard %q, want %q", c.farewell, got, c.want)
		}
		must(t, link.Close(true)) // once more
	}
}

func peerOf(t *testing.T, c *net.UnixConn) *unix.Ucred {
	t.Helper()
	conn, err := c.SyscallConn()
	must(t, err)
	var cred *unix.Ucred
	var inner error
	must(t, conn.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }))
	must(t, inner)
	return cred
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	g := startGuest(t)
	_, path := listen(t)
	must(t, os.Chmod(path, 0)) // root of the guest is nobody here
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	for _, c := range []struct {
		dial Dial
		step string
		want error
	}{
		{Dial{Target: g.pidfd, Flags: allFlags(), Path: "/no/such/socket"}, "connect", unix.ENOENT},
		{Dial{Target: g.pidfd, Flags: allFlags(), Path: "/dev/null"}, "connect", unix.ECONNREFUSED},
		{Dial{Target: g.pidfd, Flags: allFlags(), Path: path}, "connect", unix.EACCES},
		{Dial{Target: null, Flags: allFlags(), Path: path}, "enter namespaces", unix.EINVAL},
	} {
		_, err := c.dial.Connect()
		var step *StepError
		if !errors.As(err, &step) || step.Step != c.step || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s: %v", c.dial.Path, err, c.step, c.want)
		}
	}
	d := Dial{Target: g.pidfd, Path: string(make([]byte, 200))}
	if _, err := d.Connect(); err == nil {
		t.Error("a long name is no error")
	}
}
