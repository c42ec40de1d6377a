//go:build e2e

package e2e

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// TestIngressACME: the host gets certificates for guests' names from an ACME
// authority that asks it on ports 80 and 443, answers HTTPS with them, and keeps
// them over the death of the process that answers.
func TestIngressACME(t *testing.T) {
	l := newLan(t)
	p := l.authority()
	settings := filepath.Join(l.root, "etc/berth")
	must(t, os.MkdirAll(settings, 0o755))
	t.Cleanup(func() { must(t, os.RemoveAll(settings)) })
	must(t, os.WriteFile(filepath.Join(settings, "berth.yaml"),
		fmt.Appendf(nil, "ingress: { acmeDirectory: %s, acmeRoot: %s, email: admin@example.com }\n", p.URL, p.file()), 0o644))
	file := filepath.Join(l.work, "acme.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `containers:
  one: { image: "%[1]s", privateNetwork: true, ingress: [{ host: one.example.com, port: 8001, tls: acme }] }
  two: { image: "%[1]s", privateNetwork: true, ingress: [{ host: two.example.com, port: 8002, tls: acme }] }
`, debian()), 0o644))
	l.run("apply", "--yes", "-f", file)
	w := l.web(p.Root)
	for i, name := range []string{"one", "two"} {
		l.in(name, webServer+fmt.Sprint(8001+i))
		eventually(t, l, name+" is answered", func() bool { return strings.Contains(w.get("https://"+name+".example.com/"), "I am "+name+",") })
		l.has(w.get("https://"+name+".example.com/"), "HTTP/2.0 200", "Host: "+name+".example.com", "X-Forwarded-Proto: https")
	}
	l.has(w.get("http://one.example.com/x"), "HTTP/1.1 308 https://one.example.com/x")
	l.has(l.out("ingress", "ls"), "one.example.com", "acme")
	serial := func() string {
		t.Helper()
		res, err := w.Get("https://one.example.com/")
		must(t, err)
		defer res.Body.Close()
		return res.TLS.PeerCertificates[0].SerialNumber.String()
	}
	before, pid := serial(), l.ingress()
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, l, "another process answers", func() bool {
		return l.ingress() != pid && strings.Contains(w.get("https://one.example.com/"), "I am one,")
	})
	is(t, "the certificate afterwards", serial(), before)
	l.run("stop", "--all")
	l.awaitIngress()
}

// authority is what a test has to know of an ACME authority.
type authority struct {
	URL    string // of its directory
	Server string // the certificate of its own server
	Root   string // its root, which clients trust
	dir    string
}

// file has the certificate of the authority's server.
func (a authority) file() string { return filepath.Join(a.dir, "server.pem") }

// authorityVariable has this program play an ACME authority, and names the
// directory where it says what it is.
const authorityVariable = "BERTH_E2E_AUTHORITY"

// authority starts one on the host, which ends with the test.
func (l *lan) authority() authority {
	l.Helper()
	self, err := os.Executable()
	must(l, err)
	a := authority{dir: l.TempDir()}
	cmd := exec.Command(l.enter[0], append(l.enter[1:len(l.enter):len(l.enter)], self)...)
	cmd.Env = append(os.Environ(), authorityVariable+"="+a.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(l, err)
	out, err := cmd.StdoutPipe()
	must(l, err)
	must(l, cmd.Start())
	l.Cleanup(func() { must(l, in.Close()); must(l, cmd.Wait()) })
	must(l, json.NewDecoder(out).Decode(&a))
	must(l, os.WriteFile(a.file(), []byte(a.Server), 0o644))
	return a
}

// playAuthority is Pebble, for which every name is this machine's, until the
// standard input ends.
func playAuthority() int {
	resolver, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return complain(err)
	}
	names := &dns.Server{Listener: resolver, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if one := q.Question[0]; one.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: one.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = names.ActivateAndServe() }()
	_ = os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	l, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(l, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 24 * 60 * 60}})
	front := wfe.New(l, store, va.New(l, 80, 443, true, resolver.Addr().String(), store), issuer, []string{"pebble.letsencrypt.org"}, true, false, 1, 1)
	s := httptest.NewTLSServer(front.Handler())
	defer s.Close()
	text := func(c *x509.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	a := authority{URL: s.URL + wfe.DirectoryPath, Server: text(s.Certificate()), Root: text(issuer.GetRootCert(0).Cert)}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return complain(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
