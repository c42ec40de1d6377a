package names

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// follow is how soon names follow what starts and stops, also on a machine that
// has much else to do; patience is how long other things may take there.
const (
	follow   = 5 * time.Second
	patience = 20 * time.Second
)

// TestFollow has names come and go, before and after there is a bridge.
func TestFollow(t *testing.T) {
	t.Parallel()
	l := newLab(t, 101)
	l.lease(t, "web", 5, "www")
	l.ensure(t)
	first := l.process(t).PID
	l.connect(t)
	l.within(t, patience, "web.", l.address(5)) // the kernel takes its time to carry frames
	for name, want := range map[string]string{"web.containers.": l.address(5), "WWW.": l.address(5), "www.containers.": l.address(5),
		"db.containers.": "NXDOMAIN", "example.org.": "SERVFAIL"} {
		if got := l.ask(t, name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	l.lease(t, "db", 6)
	l.ensure(t)
	l.within(t, follow, "db.", l.address(6))
	l.lease(t, "db", 7)
	l.within(t, follow, "db.containers.", l.address(7))
	if err := os.Remove(l.paths.Lease("db")); err != nil {
		t.Fatal(err)
	}
	l.within(t, follow, "db.containers.", "NXDOMAIN")
	begun, known := time.Now(), l.hosts(t)
	for strings.Contains(known, "db.") && time.Since(begun) < follow {
		known = l.hosts(t)
	}
	if !strings.Contains(known, l.address(5)+" web.containers www.containers\n") || strings.Contains(known, "db.") {
		t.Errorf("the host knows\n%s", known)
	}
	for range 20 { // a link that changes makes up for one or two
		l.overwriteHosts(t)
	}
	if now := l.process(t); now.PID != first || len(now.Problems) > 0 {
		t.Errorf("%+v, not %d", now, first)
	}
	l.removeAll(t)
	l.awaitEnd(t)
	if known := l.hosts(t); known != "127.0.0.1 localhost\n" {
		t.Errorf("at the end the host knows\n%s", known)
	}
	l.ensure(t)
	// What another test forks at this moment has the lock too, until it is another program.
	for begun := time.Now(); Runs(l.paths); {
		if time.Since(begun) > follow {
			t.Fatal("it is started for nothing")
		}
	}
}

// overwriteHosts puts a new file in the place of the host's, as NixOS does, which
// gets the names too.
func (l *lab) overwriteHosts(t *testing.T) {
	t.Helper()
	file := filepath.Join(l.paths.Root, "etc/hosts")
	if err := os.WriteFile(file+".tmp", []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); !strings.Contains(l.hosts(t), "web.containers"); {
		if time.Since(begun) > follow {
			t.Fatalf("in a file that is written anew, the host knows\n%s", l.hosts(t))
		}
	}
}

// hosts is what the host finds in its file.
func (l *lab) hosts(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.paths.Root, "etc/hosts"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestNewBridge has the bridge made anew.
func TestNewBridge(t *testing.T) {
	t.Parallel()
	l := newLab(t, 102)
	l.lease(t, "web", 5)
	l.connect(t)
	l.ensure(t)
	l.within(t, patience, "web.", l.address(5))
	for _, words := range [][]string{{"link", "del", "br102"}, {"link", "add", "br102", "type", "bridge"}, {"addr", "add", l.address(1) + "/24", "dev", "br102"},
		{"link", "set", "br102", "up"}, {"link", "set", "ve102", "master", "br102"}} {
		if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v %s", words, err, out)
		}
	}
	l.within(t, patience, "web.", l.address(5))
}

// TestComeBack kills the process again and again, beside a connection of the
// guest and questions without end. Several keep it.
func TestComeBack(t *testing.T) {
	t.Parallel()
	l := newLab(t, 103)
	l.connect(t)
	names := []container.Name{"a", "b", "c"}
	for i, n := range names {
		l.lease(t, n, 5+i)
	}
	l.ensure(t)
	var keeping sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, n := range names {
		keeping.Go(func() { Keep(ctx, l.paths, l.cgroups, program, n, slog.New(slog.DiscardHandler)) })
	}
	l.within(t, patience, "a.", l.address(5))
	conn, far := l.talk(t)
	for i := range 20 {
		st := l.process(t)
		if err := unix.Kill(st.PID, unix.SIGKILL); err != nil {
			t.Fatal(i, err)
		}
		for killed := time.Now(); l.process(t).PID == st.PID; {
			if time.Since(killed) > follow {
				t.Fatal("nobody has taken its place")
			}
		}
		l.within(t, follow, "b.", l.address(6))
		b := make([]byte, 4)
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Read(b); err != nil || string(b) != "ping" {
			t.Fatalf("the connection says %q (%v)", b, err)
		}
	}
	l.removeAll(t)
	l.awaitEnd(t)
	if err := unix.Kill(l.process(t).PID, 0); l.process(t).PID != 0 && err == nil {
		t.Error("the last one still runs")
	}
	cancel()
	keeping.Wait()
}

// talk connects the guest to the machine.
func (l *lab) talk(t *testing.T) (guest, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", l.address(1)+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := l.guest.In(t, func() error { guest, err = net.DialTimeout("tcp", listener.Addr().String(), patience); return err }); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { guest.Close(); far.Close() })
	return guest, far
}

// TestTakeOver has another version of the program take the place of the one
// that serves.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	l := newLab(t, 104)
	l.connect(t)
	l.lease(t, "web", 5)
	l.ensure(t)
	old := l.process(t).PID
	next := exec.Command(program, "--root", l.paths.Root, "names")
	next.Stderr = os.Stderr
	next.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(patience)
	for l.process(t).PID != next.Process.Pid && time.Now().Before(end) {
		l.ask(t, "web.")
	}
	l.within(t, patience, "web.", l.address(5))
	if now := l.process(t).PID; now != next.Process.Pid || now == old {
		t.Errorf("%d serves, not %d", now, next.Process.Pid)
	}
	l.removeAll(t)
	if err := next.Wait(); err != nil {
		t.Errorf("the end of the new one: %v", err)
	}
}

// TestEnds has the last guest go while the next one comes: whoever asks for the
// process is served.
func TestEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 105)
	l.connect(t)
	l.lease(t, "first", 4)
	l.ensure(t)
	l.within(t, patience, "first.", l.address(4))
	for i := range 40 {
		l.removeAll(t)
		if i%2 == 0 {
			l.ask(t, "first.") // so that it is at another point of its end
		}
		l.lease(t, "next", 10+i)
		l.ensure(t)
		l.within(t, follow, "next.", l.address(10+i))
	}
}

// TestLeft is a process that is killed as the last one.
func TestLeft(t *testing.T) {
	t.Parallel()
	l := newLab(t, 106)
	l.lease(t, "web", 5)
	l.ensure(t)
	st := l.process(t)
	if err := unix.Kill(st.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.removeAll(t)
	if err := unix.Kill(st.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for Runs(l.paths) {
		if t.Context().Err() != nil {
			t.Fatal("it is not killed")
		}
	}
	if Leftovers(l.paths, l.cgroups) == "" {
		t.Error("nothing is seen of what it left")
	}
	if done, err := Sweep(l.paths, l.cgroups); err != nil || !done {
		t.Error(done, err)
	}
	l.awaitEnd(t)
}
