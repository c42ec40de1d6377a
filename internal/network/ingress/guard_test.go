package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
)

// TestStandingStill has clients that stop in the middle, with the patience that
// there is in tests.
func TestStandingStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{patience: 200 * time.Millisecond})
	ended := make(chan error, 10)
	w.guest(t, "a", "a.example.com", container.TLSOff, func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if r.Method == "GET" {
			_, err = io.Copy(rw, zeros(1<<30))
		}
		ended <- err
	})
	for name, request := range map[string]string{
		"upload":              "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 10\r\n\r\nhello",
		"download":            "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
		"upload of 200 kB":    "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 400000\r\n\r\n" + strings.Repeat("a", 200000),
		"upload for a nobody": "POST / HTTP/1.1\r\nHost: nobody.example.com\r\nContent-Length: 10\r\n\r\nhello",
	} {
		c, err := net.Dial("tcp", w.http)
		must(t, err)
		defer c.Close()
		_, err = c.Write([]byte(request))
		must(t, err)
		if !strings.HasSuffix(name, "nobody") {
			if err := <-ended; err == nil {
				t.Errorf("%s: the guest sees no end", name)
			}
		}
		must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		b, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the connection stays: %v", name, err)
		}
		if strings.HasPrefix(name, "upload") && !bytes.HasPrefix(b, []byte("HTTP/1.1 40")) {
			t.Errorf("%s: %q", name, b)
		}
	}
}

// TestEarlyAnswer has a guest that answers before it has read all.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSInternal, func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, size := range []int64{1, 100 << 10, 10 << 20} {
			if proto == "HTTP/1.1" && size > 1<<20 {
				continue // there the server waits half a second for what is still sent, and then cuts it off
			}
			res, err := w.client(proto).Post("https://a.example.com/", "", zeros(size))
			if err != nil {
				t.Errorf("%s: %d bytes: %v", proto, size, err)
			} else if res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d bytes: %d", proto, size, res.StatusCode)
			}
		}
	}
	if s := w.Status()["a"][0]; s.Reach != container.Reached {
		t.Errorf("status %+v", s)
	}
}

// TestSlowIsNotStill has a transfer that takes longer than the patience, and a
// guest that thinks for longer.
func TestSlowIsNotStill(t *testing.T) {
	t.Parallel()
	const patience = time.Second // of which a third may pass, and what else the machine has to do
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		w := newWorld(t, Options{patience: patience})
		w.guest(t, "a", "a.example.com", container.TLSInternal, func(rw http.ResponseWriter, r *http.Request) {
			must(t, http.NewResponseController(rw).EnableFullDuplex())
			n, err := io.Copy(io.Discard, r.Body)
			<-time.After(2 * patience)
			for range 6 {
				fmt.Fprint(rw, n, err, ";")
				rw.(http.Flusher).Flush()
				<-time.After(patience / 3)
			}
		})
		read, write := io.Pipe()
		go func() {
			for range 6 {
				<-time.After(patience / 3)
				_, _ = write.Write([]byte("x"))
			}
			write.Close()
		}()
		res, err := w.client(proto).Post("https://a.example.com/", "", read)
		must(t, err)
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != strings.Repeat("6 <nil>;", 6) {
			t.Errorf("%s: %q, %v", proto, b, err)
		}
	}
}

// TestKeptConnection makes requests on one connection with pauses as long as
// the patience.
func TestKeptConnection(t *testing.T) {
	t.Parallel()
	const patience = 100 * time.Millisecond
	w := newWorld(t, Options{patience: patience})
	w.guest(t, "a", "a.example.com", container.TLSOff, reply("a"))
	client := w.client("HTTP/1.1")
	conns := 0
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conns++
		return dial(ctx, network, address)
	}
	for range 4 {
		res, err := client.Get("http://a.example.com/")
		must(t, err)
		_, err = io.ReadAll(res.Body)
		must(t, err)
		<-time.After(2 * patience)
	}
	if conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.guest(t, "a", "a.example.com", container.TLSInternal, reply(""))
	w.guest(t, "b", "b.example.com", container.TLSOff, reply(""))
	for name, want := range map[string]string{
		"a.example.com": "", "A.example.com": "", "b.example.com": "unrecognized name", "c.example.com": "unrecognized name", "": "unrecognized name",
	} {
		c, err := tls.Dial("tcp", w.https, &tls.Config{ServerName: name, RootCAs: w.roots, InsecureSkipVerify: name == "", NextProtos: []string{"h2"}})
		got := ""
		if err != nil {
			got = err.Error()
		} else if c.ConnectionState().NegotiatedProtocol != "h2" {
			t.Errorf("%q: %s", name, c.ConnectionState().NegotiatedProtocol)
		}
		if want == "" != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %s", name, got)
		}
	}
	c, err := tls.Dial("tcp", w.https, &tls.Config{ServerName: "a.example.com", RootCAs: w.roots, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("it speaks TLS", c.ConnectionState().Version)
	}
}

func TestRootIsKept(t *testing.T) {
	t.Parallel()
	paths := newPaths(t)
	first, err := Root(t.Context(), paths)
	must(t, err)
	second, err := Root(t.Context(), paths)
	must(t, err)
	if first != second || !strings.HasPrefix(first, "-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("first %s, then %s", first, second)
	}
}
