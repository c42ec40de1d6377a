//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// webServer is a guest's: it answers with its name and what it was asked.
const webServer = `perl -MIO::Socket::INET -e 'fork and exit; open STDOUT, ">/dev/null"; open STDERR, ">&STDOUT"; open STDIN, "</dev/null"; chomp($h = ` + "`hostname`" + `);
	$s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 50, ReuseAddr => 1) or die;
	while ($c = $s->accept) { $f = ""; while (defined($l = <$c>) && $l !~ /^\r?$/) { $f .= " $l" if $l =~ /^(host|x-forwarded-\w+):/i }
	$f =~ s/[\r\n]//g; $b = "I am $h,$f\n"; print $c "HTTP/1.0 200 OK\r\nContent-Length: " . length($b) . "\r\n\r\n$b"; close $c }' `

// TestIngress: three guests by name, on HTTP and HTTPS, as they start, change
// and stop, and over the death of the process that answers.
func TestIngress(t *testing.T) {
	l := newLan(t)
	file := filepath.Join(l.work, "web.yaml")
	declare := func(three string) {
		must(t, os.WriteFile(file, fmt.Appendf(nil, `containers:
  one: { image: "%[1]s", privateNetwork: true, ingress: [{ host: one.example.com, port: 8001, tls: internal }] }
  two: { image: "%[1]s", privateNetwork: true, ingress: [{ host: two.example.com, port: 8002, tls: off }, { host: "*.two.example.com", port: 8002, tls: internal }] }
  three: { image: "%[1]s", privateNetwork: true, ingress: [%[2]s] }
`, debian(), three), 0o644))
		l.run("apply", "--yes", "-f", file)
	}
	declare("")
	for i, name := range []string{"one", "two", "three"} {
		l.in(name, webServer+fmt.Sprint(8001+i))
	}
	get := l.web(l.run("ingress", "ca").out).get
	eventually(t, l, "one.example.com is answered", func() bool { return strings.Contains(get("https://one.example.com/"), "I am one,") })
	l.has(get("https://one.example.com/"), "HTTP/2.0 200", "Host: one.example.com", "X-Forwarded-For: ::1", "X-Forwarded-Proto: https")
	l.has(get("http://two.example.com/"), "I am two,", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http")
	l.has(get("https://x.two.example.com/"), "I am two, Host: x.two.example.com")
	l.has(get("http://one.example.com/x?y"), "HTTP/1.1 308 https://one.example.com/x?y")
	l.has(get("http://three.example.com/"), "HTTP/1.1 404")
	l.has(get("https://three.example.com/"), "unrecognized name")

	declare(`{ host: three.example.com, port: 8003, tls: internal }`) // while it runs
	eventually(t, l, "three.example.com is answered", func() bool { return strings.Contains(get("https://three.example.com/"), "I am three,") })
	type row struct{ Container, Host, Reach, Trouble string }
	var rows []row
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("ingress ls: %+v", rows)
		}
	})
	eventually(t, l, "ingress ls knows", func() bool {
		rows = nil // what is not in the answer would stay
		l.json(&rows, "ingress", "ls", "--json")
		return len(rows) == 4 && !slices.ContainsFunc(rows, func(r row) bool { return r.Trouble != "" || r.Reach != "yes" })
	})
	l.has(l.run("status", "one").out, "one.example.com to port 8001, tls internal, reached: yes")

	for range 5 {
		pid := l.ingress()
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		eventually(t, l, "another process answers", func() bool {
			return l.ingress() != pid && strings.Contains(get("https://one.example.com/"), "I am one,")
		})
	}
	pid := l.ingress()
	must(t, syscall.Kill(pid, syscall.SIGHUP))
	eventually(t, l, "another process takes over", func() bool { return l.ingress() != pid })
	l.has(get("https://one.example.com/"), "I am one,")

	l.has(l.out("doctor"), "ingress: berth ingress runs")
	l.has(l.out("logs", "--ingress", "three"), " GET https://three.example.com/ 200, ", " bytes, ")
	l.has(l.out("logs", "--ingress", "--json", "-n", "1", "one"), `"source":"ingress"`, `"request":{`, `"proto":"HTTP/2.0"`)
	if text := l.out("logs", "--ingress", "three"); strings.Contains(text, "one.example.com") {
		t.Errorf("of another guest: %s", text)
	}

	l.run("stop", "two")
	eventually(t, l, "two.example.com is nobody's", func() bool { return strings.Contains(get("http://two.example.com/"), "404") })
	l.has(l.read(filepath.Join(l.root, "var/log/berth/ingress/access.log")), `"container":"three"`, `"host":"x.two.example.com"`)
	l.run("stop", "--all")
	l.awaitIngress()
}

// awaitIngress waits until the process that answers HTTP has ended, which no
// guest needs any more.
func (l *lan) awaitIngress() {
	l.Helper()
	l.until("berth ingress has ended", func() bool {
		return !slices.ContainsFunc(processes(l.root), func(p string) bool { return strings.Contains(p, "ingress serve") })
	})
}

// web asks the host, over IPv4 by HTTP and over IPv6 by HTTPS.
type web struct{ *http.Client }

func (l *lan) web(root string) web {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(root))
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		to := "127.0.0.1:80"
		if strings.HasSuffix(address, ":443") {
			to = "[::1]:443"
		}
		return l.dial(ctx, to)
	}
	return web{&http.Client{
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}}
}

// dial connects from the host.
func (l *lan) dial(ctx context.Context, address string) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l.netns != nil {
			runtime.LockOSThread() // the thread ends with the goroutine
			if err = unix.Setns(int(l.netns.Fd()), unix.CLONE_NEWNET); err != nil {
				return
			}
		}
		c, err = new(net.Dialer).DialContext(ctx, "tcp", address)
	}()
	<-done
	return c, err
}

// get is what there is at a URL, or what is wrong.
func (w web) get(url string) string {
	res, err := w.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return fmt.Sprintln(res.Proto, res.StatusCode, res.Header.Get("Location"), string(b), err)
}

// ingress is the PID of the process that answers HTTP, or of the last one.
func (l *lan) ingress() int {
	l.Helper()
	var st struct{ PID int }
	b, err := os.ReadFile(filepath.Join(l.root, "run/berth/locks/.ingress"))
	must(l, err)
	if json.Unmarshal(b, &st) != nil {
		return 0 // it is just being written
	}
	return st.PID
}

// eventually waits for what another process does soon.
func eventually(t *testing.T, l *lan, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not happen that %s\n%s", what, l.host("cat "+l.root+"/var/log/berth/ingress/access.log.errors 2>&1 || journalctl -u 'berth-*-ingress' | tail -50"))
		}
	}
}
