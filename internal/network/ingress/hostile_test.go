package ingress

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

// TestHostile sends what is meant to be read differently by two programs.
func TestHostile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	guest := listen(t, "127.0.0.1:0")
	defer guest.Close()
	w.add(t, lease("a", container.Ingress{Host: "a.example.com", Port: portOf(guest), TLS: container.TLSOff}))
	seen := make(chan string, 10)
	go func() { // a guest that shows what it gets byte by byte
		for {
			c, err := guest.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					b, _ := io.ReadAll(r.Body)
					seen <- fmt.Sprintf("%s %s CL=%d TE=%v body=%q", r.Method, r.Host+r.RequestURI, r.ContentLength, r.TransferEncoding, b)
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	head := "POST /x HTTP/1.1\r\nHost: a.example.com\r\n"
	for _, c := range []struct {
		name, request string
		status        int
		want          string // what the guest sees; "": nothing
	}{
		{"both lengths", head + "Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200,
			`POST a.example.com/x CL=-1 TE=[chunked] body=""`},
		{"two lengths", head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400, ""},
		{"an odd encoding", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, ""},
		{"two encodings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501, ""},
		{"a signed length", head + "Content-Length: +5\r\n\r\nhello", 400, ""},
		{"space before a colon", head + "Content-Length : 5\r\n\r\nhello", 400, ""},
		{"a folded header", head + "X: a\r\n Content-Length: 5\r\n\r\n", 200, `POST a.example.com/x CL=0 TE=[] body=""`},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a.example.com\r\nHost: b.example.com\r\n\r\n", 400, ""},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"a host with a path", "GET / HTTP/1.1\r\nHost: a.example.com/x\r\n\r\n", 400, ""},
		{"a host with a user", "GET / HTTP/1.1\r\nHost: b@a.example.com\r\n\r\n", 400, ""},
		{"another host in the line", "GET http://b.example.com/ HTTP/1.1\r\nHost: a.example.com\r\n\r\n", 404, ""},
		{"the host in the line", "GET http://a.example.com/y HTTP/1.1\r\nHost: b.example.com\r\n\r\n", 200, `GET a.example.com/y CL=0 TE=[] body=""`},
		{"a tunnel", "CONNECT a.example.com:25 HTTP/1.1\r\nHost: a.example.com:25\r\n\r\n", 405, ""},
		{"a null byte", "GET / HTTP/1.1\r\nHost: a.example.com\r\nX: a\x00b\r\n\r\n", 400, ""},
		{"a huge header", "GET / HTTP/1.1\r\nHost: a.example.com\r\nX: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n", 431, ""},
	} {
		res := w.raw(t, c.request)
		got := ""
		if res.StatusCode == 200 {
			got = <-seen
		}
		if res.StatusCode != c.status || got != c.want {
			t.Errorf("%s: %d, the guest sees %s", c.name, res.StatusCode, got)
		}
	}
	select {
	case more := <-seen:
		t.Error("the guest sees besides:", more)
	default:
	}
}
