package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// serveProcess is what the command of berth does: its arguments are the root, two
// addresses and what it takes over.
func serveProcess() int {
	a := os.Args[1:]
	o := Options{Paths: state.Paths{Root: a[0]}, HTTP: a[1], HTTPS: a[2], Program: append([]string{"/proc/self/exe"}, a[:3]...), linger: 300 * time.Millisecond}
	if len(a) > 3 {
		o.Takeover = strings.TrimPrefix(a[3], "--takeover=")
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if err := Run(ctx, o); err != nil && !errors.Is(err, ErrEnded) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// start starts the process that answers.
func start(t *testing.T, paths state.Paths, http, https string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", paths.Root, http, https)
	cmd.Env = append(os.Environ(), roleVariable+"=process")
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	return cmd
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	must(t, err)
	r.Host = "a.example.com"
	res, err := new(http.Transport).RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return res.StatusCode, string(b)
}

func TestRunFollowsLeases(t *testing.T) {
	t.Parallel()
	paths := newPaths(t)
	guest := listen(t, "127.0.0.1:0")
	defer guest.Close()
	go func() { _ = http.Serve(guest, reply("I am a")) }()
	a := lease("a", container.Ingress{Host: "a.example.com", Port: portOf(guest), TLS: container.TLSOff})
	writeLease(t, paths, a)
	plain := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := start(t, paths, plain, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	eventually(t, "it answers", func() bool { status, _ := get(t, "http://"+plain); return status == 200 })
	if pid := PID(paths); pid != cmd.Process.Pid {
		t.Errorf("process %d answers, not %d", pid, cmd.Process.Pid)
	}
	// One more is not needed.
	must(t, start(t, paths, plain, "127.0.0.1:0").Wait())

	writeLease(t, paths, lease("b", container.Ingress{Host: "b.example.com", Port: portOf(guest), TLS: container.TLSInternal}))
	eventually(t, "the status has b", func() bool { s, err := ReadStatus(paths); return err == nil && len(s["b"]) == 1 })
	must(t, os.Remove(paths.Lease("a")))
	eventually(t, "it answers for a no more", func() bool { status, _ := get(t, "http://"+plain); return status == 404 })
	writeLease(t, paths, a)
	eventually(t, "it answers for a again", func() bool { status, _ := get(t, "http://"+plain); return status == 200 })
	must(t, os.Remove(paths.Lease("b")))
	must(t, os.Remove(paths.Lease("a")))
	must(t, cmd.Wait())
	if _, err := ReadStatus(paths); !errors.Is(err, ErrNotRunning) || PID(paths) != 0 {
		t.Error(err, PID(paths))
	}
}

// TestPortIsTaken starts beside another web server, which goes away later.
func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	paths := newPaths(t)
	other := listen(t, "127.0.0.1:0")
	address := other.Addr().String()
	writeLease(t, paths, lease("a", container.Ingress{Host: "a.example.com", Port: 1, TLS: container.TLSOff}))
	cmd := start(t, paths, address, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	trouble := func() string {
		s, err := ReadStatus(paths)
		if err != nil || len(s["a"]) == 0 {
			return ""
		}
		return s["a"][0].Trouble
	}
	eventually(t, "the status says so", func() bool { return strings.Contains(trouble(), "cannot listen on "+address) })
	must(t, other.Close())
	eventually(t, "it listens", func() bool { status, _ := get(t, "http://"+address); return status == 502 })
	eventually(t, "the status says so", func() bool { return trouble() == "" })
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	must(t, cmd.Wait())
}

// TestHandOver replaces the process under load: no connection is refused, no
// request is cut off, and a websocket, or what is like it, goes on.
func TestHandOver(t *testing.T) {
	t.Parallel()
	paths := newPaths(t)
	guest := listen(t, "127.0.0.1:0")
	defer guest.Close()
	go func() {
		_ = http.Serve(guest, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				fmt.Fprint(w, "I am a")
				return
			}
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.Copy(c, rw)
		}))
	}()
	writeLease(t, paths, lease("a", container.Ingress{Host: "a.example.com", Port: portOf(guest), TLS: container.TLSOff},
		container.Ingress{Host: "b.example.com", Port: portOf(guest), TLS: container.TLSInternal}))
	plain, secure := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := start(t, paths, plain, secure)
	eventually(t, "it answers", func() bool { status, _ := get(t, "http://"+plain); return status == 200 })

	echo, err := net.Dial("tcp", plain)
	must(t, err)
	defer echo.Close()
	lines := bufio.NewReader(echo)
	fmt.Fprint(echo, "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	res, err := http.ReadResponse(lines, nil)
	if must(t, err); res.StatusCode != 101 {
		t.Fatal(res.Status)
	}

	var stop atomic.Bool
	var load sync.WaitGroup
	roots := x509.NewCertPool()
	root, err := Root(t.Context(), paths)
	must(t, err)
	roots.AppendCertsFromPEM([]byte(root))
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				if status, text := get(t, "http://"+plain); status != 200 {
					t.Errorf("while it hands over: %d %s", status, text)
				}
				c, err := tls.Dial("tcp", secure, &tls.Config{ServerName: "b.example.com", RootCAs: roots})
				if err != nil {
					t.Error("while it hands over:", err)
					continue
				}
				c.Close()
			}
		})
	}
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, "the old one takes no new connections", func() bool { return !listens(t, cmd.Process.Pid) })
	fmt.Fprint(echo, "still there?\n")
	if line, err := lines.ReadString('\n'); err != nil || line != "still there?\n" {
		t.Errorf("%q: %v", line, err)
	}
	stop.Store(true)
	load.Wait()
	must(t, echo.Close())
	must(t, cmd.Wait())
	if status, text := get(t, "http://"+plain); status != 200 {
		t.Errorf("after the old one has ended: %d %s", status, text)
	}
	must(t, os.Remove(paths.Lease("a")))
	eventually(t, "the new one ends", func() bool { return !state.Held(paths.IngressLock()) })
}

// listens reports whether the process has listening sockets.
func listens(t *testing.T, pid int) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/net/tcp")
	must(t, err)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		inode, ok := strings.CutPrefix(link, "socket:[")
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); ok && len(f) > 9 && f[3] == "0A" && f[9] == strings.TrimSuffix(inode, "]") {
				return true
			}
		}
	}
	return false
}
