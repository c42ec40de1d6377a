package ingress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/state"
)

// roleVariable makes the test binary play another part: "tests" is all tests,
// in a network namespace of their own, "process" the process that answers.
const roleVariable = "BERTH_INGRESS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(apart())
	case "process":
		os.Exit(serveProcess())
	}
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// apart runs all tests in a network namespace of their own.
func apart() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), roleVariable+"=tests")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in a network namespace:", err)
		return 1
	}
	return 0
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

// world is a Server with what it answers for.
type world struct {
	*Server
	paths       state.Paths
	leases      []network.Lease
	http, https string // addresses
	roots       *x509.CertPool
}

// newWorld serves on two ports of this machine.
func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	if o.Paths.Root == "" {
		o.Paths = newPaths(t)
	}
	s, err := New(o)
	must(t, err)
	return serveAt(t, s, [2]int{})
}

// serveAt has s serve on two ports of this machine; 0 is any.
func serveAt(t *testing.T, s *Server, ports [2]int) *world {
	t.Helper()
	w := &world{Server: s, paths: s.authority.paths, roots: x509.NewCertPool()}
	plain, secure := listen(t, fmt.Sprintf("127.0.0.1:%d", ports[0])), listen(t, fmt.Sprintf("127.0.0.1:%d", ports[1]))
	w.http, w.https = plain.Addr().String(), secure.Addr().String()
	s.securePort.Store(int32(secure.Addr().(*net.TCPAddr).Port))
	errs := make(chan error, 2)
	go func() { errs <- s.Serve(plain) }()
	go func() { errs <- s.ServeTLS(secure) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
	root, err := Root(t.Context(), w.paths)
	must(t, err)
	w.roots.AppendCertsFromPEM([]byte(root))
	return w
}

func newPaths(t *testing.T) state.Paths {
	t.Helper()
	p := state.Paths{Root: t.TempDir()}
	must(t, os.MkdirAll(p.Leases(), 0o700))
	return p
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	return l
}

// guest starts a server in a guest, and gives the guest a name for it.
func (w *world) guest(t *testing.T, n container.Name, host string, kind container.TLS, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	g := httptest.NewServer(h)
	t.Cleanup(g.Close)
	w.add(t, lease(n, container.Ingress{Host: host, Port: portOf(g.Listener), TLS: kind}))
	return g
}

func (w *world) add(t *testing.T, l network.Lease) {
	t.Helper()
	w.leases = append(w.leases, l)
	must(t, w.Set(w.leases))
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// lease is that of a guest which this machine is itself.
func lease(n container.Name, in ...container.Ingress) network.Lease {
	link := network.Link{Kind: network.Bridged, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}}
	return network.Lease{Name: n, Links: []network.Link{link}, Ingress: in}
}

// client asks w whatever name a URL has. It follows no redirects.
func (w *world) client(proto string) *http.Client {
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		to := w.http
		if _, port, _ := net.SplitHostPort(address); port == "443" {
			to = w.https
		}
		return new(net.Dialer).DialContext(ctx, "tcp", to)
	}
	t := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: w.roots}, Protocols: new(http.Protocols), DisableCompression: true}
	t.Protocols.SetHTTP1(proto == "HTTP/1.1")
	t.Protocols.SetHTTP2(proto == "HTTP/2.0")
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// raw sends bytes as they are, and reads the answer's status and header.
func (w *world) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", w.http)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte(request))
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	return res
}

// entries are the lines of the access log.
func (w *world) entries(t *testing.T, n int) []container.Request {
	t.Helper()
	var out []container.Request
	eventually(t, fmt.Sprintf("the access log has %d lines", n), func() bool {
		out = nil
		f, err := os.Open(w.paths.IngressLog())
		must(t, err)
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var e container.Request
			must(t, json.Unmarshal(lines.Bytes(), &e))
			out = append(out, e)
		}
		return len(out) >= n
	})
	return out
}

// eventually waits until what happens in other goroutines has happened.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it does not happen that", what)
		}
	}
}

// writeLease does what attach does.
func writeLease(t *testing.T, paths state.Paths, l network.Lease) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(paths.Lease(l.Name)), 0o700))
	must(t, state.WriteRuntimeJSON(paths.Lease(l.Name), l))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
