package ingress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
)

// reply answers with its words.
func reply(words string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, words) }
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSOff, reply("I am a"))
	w.guest(t, "b", "b.example.com", container.TLSInternal, reply("I am b"))
	w.guest(t, "c", "*.example.com", container.TLSInternal, reply("I am c"))
	w.add(t, lease("d", container.Ingress{Host: "d.example.com", Port: 1, TLS: container.TLSOff}))
	w.add(t, network.Lease{Name: "e", Ingress: []container.Ingress{{Host: "e.example.com", Port: 80, TLS: container.TLSOff}}})
	for _, c := range []struct {
		url, host string // host: another Host than the URL's
		status    int
		want      string
	}{
		{"http://a.example.com/", "", 200, "I am a"},
		{"http://A.Example.COM./x", "", 200, "I am a"},
		{"http://a.example.com/", "a.example.com:80", 200, "I am a"},
		{"http://b.example.com/", "", 308, "Permanent Redirect"},
		{"http://other.example.com/", "", 308, "Permanent Redirect"},
		{"http://x.other.example.com/", "", 404, "nothing answers for this name"},
		{"http://example.com/", "", 404, "nothing answers for this name"},
		{"http://d.example.com/", "", 502, "berth: the container d does not answer on port 1: connection refused\n"},
		{"http://e.example.com/", "", 502, "berth: the container e does not answer on port 80: it has no address that the host reaches\n"},
		{"https://b.example.com/", "", 200, "I am b"},
		{"https://other.example.com/", "", 200, "I am c"},
		{"https://b.example.com/", "other.example.com", 421, "for another name"},
		{"https://b.example.com/", "a.example.com", 421, "for another name"},
		{"https://b.example.com/", "nobody.org", 421, "for another name"},
	} {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			if proto == "HTTP/2.0" && strings.HasPrefix(c.url, "http:") {
				continue
			}
			r, err := http.NewRequestWithContext(t.Context(), "GET", c.url, nil)
			must(t, err)
			r.Host = c.host
			res, err := w.client(proto).Do(r)
			if err != nil {
				t.Errorf("%s %s: %v", proto, c.url, err)
				continue
			}
			b, err := io.ReadAll(res.Body)
			must(t, err)
			if res.StatusCode != c.status || !strings.Contains(string(b), c.want) || res.Proto != proto {
				t.Errorf("%s %s for %q: %s %d %q, not %d %q", proto, c.url, c.host, res.Proto, res.StatusCode, b, c.status, c.want)
			}
		}
	}
	st := w.Status()
	if s := st["a"][0]; s.Reach != container.Reached || s.Since.IsZero() {
		t.Errorf("status of a: %+v", s)
	}
	if s := st["d"][0]; s.Reach != container.Unreached || s.Reason != "connection refused" {
		t.Errorf("status of d: %+v", s)
	}
	if s := st["b"][0]; time.Until(s.Expires) < 20*24*time.Hour {
		t.Errorf("status of b: %+v", s)
	}
}

func TestRedirectKeepsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSInternal, reply(""))
	for path, want := range map[string]string{
		"/x%2Fy/ä?q=1&r=%20": "/x%2Fy/%c3%a4?q=1&r=%20",
		"//evil.org/":        "//evil.org/",
		"/?":                 "/?",
	} {
		res := w.raw(t, "POST "+path+" HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 0\r\n\r\n")
		port := fmt.Sprint(w.securePort.Load())
		if got := res.Header.Get("Location"); res.StatusCode != 308 || got != "https://a.example.com:"+port+want {
			t.Errorf("%s: %d to %q", path, res.StatusCode, got)
		}
	}
}

func TestHeadersForGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	got := make(chan *http.Request, 1)
	w.guest(t, "a", "a.example.com", container.TLSInternal, func(_ http.ResponseWriter, r *http.Request) { got <- r })
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://a.example.com/p%2Fq?x;y", nil)
	must(t, err)
	for _, forged := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X_Forwarded_For", "Forwarded", "X-Real-IP", "X_Real_IP", "Proxy"} {
		r.Header.Set(forged, "6.6.6.6")
	}
	r.Header.Set("Connection", "X-Forwarded-For, X-Secret")
	r.Header.Set("X-Secret", "1")
	_, err = w.client("HTTP/1.1").Do(r)
	must(t, err)
	in := <-got
	for header, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "a.example.com", "X-Forwarded-Proto": "https", "X-Real-Ip": "127.0.0.1",
		"X-Forwarded-Port": "", "X_forwarded_for": "", "X_real_ip": "", "Forwarded": "", "Proxy": "", "X-Secret": "",
	} {
		if h := strings.Join(in.Header.Values(header), ", "); h != want {
			t.Errorf("%s: %q, not %q", header, h, want)
		}
	}
	if in.Host != "a.example.com" || in.RequestURI != "/p%2Fq?x;y" {
		t.Errorf("the guest is asked for %s%s", in.Host, in.RequestURI)
	}
	for name := range in.Header {
		if strings.Contains(strings.ToLower(name), "6.6.6.6") {
			t.Error(name)
		}
	}
}

func TestWebsocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSInternal, func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, bytes.ToUpper(b)); err != nil {
				t.Error(err)
			}
		}
	})
	c, _, err := websocket.Dial(t.Context(), "wss://a.example.com/chat", &websocket.DialOptions{HTTPClient: w.client("HTTP/1.1")})
	must(t, err)
	for i := range 100 {
		must(t, c.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, "message %d", i)))
		if _, b, err := c.Read(t.Context()); err != nil || string(b) != fmt.Sprintf("MESSAGE %d", i) {
			t.Fatalf("%q: %v", b, err)
		}
	}
	must(t, c.Close(websocket.StatusNormalClosure, ""))
	if e := w.entries(t, 1)[0]; e.Status != 101 || e.Container != "a" || e.URI != "/chat" {
		t.Errorf("the access log has %+v", e)
	}
}

// TestStreams reads what a guest sends piece by piece, each before the next.
func TestStreams(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		w := newWorld(t, Options{})
		next := make(chan bool)
		w.guest(t, "a", "a.example.com", container.TLSInternal, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			rw.Header().Set("Trailer", "X-Sum")
			for i := range 5 {
				fmt.Fprintf(rw, "data: %d\n\n", i)
				rw.(http.Flusher).Flush()
				<-next
			}
			rw.Header().Set("X-Sum", "5")
		})
		res, err := w.client(proto).Get("https://a.example.com/")
		must(t, err)
		in := bufio.NewReader(res.Body)
		for i := range 5 {
			line, err := in.ReadString('\n')
			if must(t, err); line != fmt.Sprintf("data: %d\n", i) {
				t.Errorf("%s: %q", proto, line)
			}
			_, err = in.ReadString('\n')
			must(t, err)
			next <- true
		}
		_, err = io.ReadAll(in)
		if must(t, err); res.Trailer.Get("X-Sum") != "5" {
			t.Errorf("%s: trailer %v", proto, res.Trailer)
		}
	}
}

func TestRequestTrailer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSOff, func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(rw, "%s %s", b, r.Trailer.Get("X-Sum"))
	})
	res := w.raw(t, "POST / HTTP/1.1\r\nHost: a.example.com\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "hello 42" {
		t.Errorf("%q: %v", b, err)
	}
}

// zeros is a stream of n bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

// TestGigabyte sends one up and one down, through the memory of one process.
func TestGigabyte(t *testing.T) {
	const size = 1 << 30
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSOff, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(rw, n, err)
			return
		}
		rw.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.Copy(rw, zeros(size))
	})
	stop, most := make(chan bool), make(chan uint64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for peak := uint64(0); ; {
			select {
			case <-stop:
				most <- peak
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
	}()
	c := w.client("HTTP/1.1")
	res, err := c.Get("http://a.example.com/")
	must(t, err)
	if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
		t.Errorf("down: %d, %v", n, err)
	}
	res, err = c.Post("http://a.example.com/", "", zeros(size))
	must(t, err)
	if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprint(size, " <nil>") {
		t.Errorf("up: %s", b)
	}
	close(stop)
	if peak := <-most; peak > 64<<20 {
		t.Errorf("it takes %d MiB of memory", peak>>20)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	data := bytes.Repeat([]byte("0123456789abcdefg"), 1<<20)
	w.guest(t, "a", "a.example.com", container.TLSInternal, func(rw http.ResponseWriter, r *http.Request) {
		must(t, http.NewResponseController(rw).EnableFullDuplex())
		_, _ = io.Copy(rw, r.Body)
	})
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		res, err := w.client(proto).Post("https://a.example.com/", "", bytes.NewReader(data))
		must(t, err)
		b, err := io.ReadAll(res.Body)
		must(t, err)
		if sha256.Sum256(b) != sha256.Sum256(data) {
			t.Errorf("%s: %d bytes come back as %d others", proto, len(data), len(b))
		}
	}
}

func TestClientLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	here, gone := make(chan bool), make(chan error, 1)
	w.guest(t, "a", "a.example.com", container.TLSOff, func(_ http.ResponseWriter, r *http.Request) {
		here <- true
		<-r.Context().Done()
		gone <- r.Context().Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://a.example.com/slow", nil)
	must(t, err)
	failed := make(chan error, 1)
	go func() {
		_, err := w.client("HTTP/1.1").Do(r)
		failed <- err
	}()
	<-here
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error("the guest:", err)
	}
	e := w.entries(t, 1)[0]
	if e.Status != statusLeft || e.Error == "" {
		t.Errorf("the access log has %+v", e)
	}
	if s := w.Status()["a"][0]; s.Reach == container.Unreached {
		t.Errorf("the guest is blamed: %+v", s)
	}
}

func TestGuestRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	l := listen(t, "127.0.0.1:0")
	port := portOf(l)
	serve := func(l net.Listener) *http.Server {
		s := &http.Server{Handler: reply("here")}
		go func() { _ = s.Serve(l) }()
		return s
	}
	s := serve(l)
	w.add(t, lease("a", container.Ingress{Host: "a.example.com", Port: port, TLS: container.TLSOff}))
	get := func() int {
		res, err := w.client("HTTP/1.1").Get("http://a.example.com/")
		must(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	for range 20 {
		if status := get(); status != 200 {
			t.Fatal("it answers", status)
		}
		must(t, s.Close())
		if status := get(); status != 502 {
			t.Fatal("without a guest it answers", status)
		}
		s = serve(listen(t, fmt.Sprintf("127.0.0.1:%d", port)))
	}
	must(t, s.Close())
}

func TestSecondAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	g := listen(t, "[::1]:0")
	go func() { _ = http.Serve(g, reply("by IPv6")) }()
	defer g.Close()
	l := lease("a", container.Ingress{Host: "a.example.com", Port: portOf(g), TLS: container.TLSOff})
	l.Links[0].Addresses = append(l.Links[0].Addresses, netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("::1/128"))
	w.add(t, l)
	res, err := w.client("HTTP/1.1").Get("http://a.example.com/")
	must(t, err)
	if b, _ := io.ReadAll(res.Body); string(b) != "by IPv6" {
		t.Errorf("%q", b)
	}
}

func TestManyNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	guest := func(i int) container.Name { return container.Name(fmt.Sprintf("g%d", i)) }
	const n = 500
	g := w.guest(t, "a", "a.example.com", container.TLSInternal, func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Host) })
	for i := range n {
		w.leases = append(w.leases, lease(guest(i), container.Ingress{Host: fmt.Sprintf("n%d.example.com", i), Port: portOf(g.Listener), TLS: container.TLSInternal}))
	}
	must(t, w.Set(w.leases))
	c := w.client("HTTP/2.0")
	for i := 0; i < n; i += 50 {
		host := fmt.Sprintf("n%d.example.com", i)
		res, err := c.Get("https://" + host)
		must(t, err)
		if b, _ := io.ReadAll(res.Body); string(b) != host {
			t.Errorf("%s: %q", host, b)
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	g := w.guest(t, "a", "a.example.com", container.TLSOff, reply("a"))
	backend := w.routes.Load().find("a.example.com").backend
	w.guest(t, "b", "b.example.com", container.TLSOff, reply("b"))
	if w.routes.Load().find("a.example.com").backend != backend {
		t.Error("a's connections are lost though it did not change")
	}
	// Another container claims the name: who comes first has it.
	clash := lease("aa", container.Ingress{Host: "a.example.com", Port: portOf(g.Listener), TLS: container.TLSOff})
	_, clashes := newTable(append(w.leases, clash), nil, nil)
	if len(clashes) != 1 || !strings.Contains(clashes[0], "aa, which does not get it") {
		t.Errorf("clashes: %q", clashes)
	}
	must(t, w.Set(nil))
	res, err := w.client("HTTP/1.1").Get("http://a.example.com/")
	must(t, err)
	if res.StatusCode != 404 {
		t.Errorf("after the container is gone: %d", res.StatusCode)
	}
}
