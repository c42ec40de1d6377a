package ingress

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// pebble is the ACME test server, an authority in this process.
type pebble struct {
	*httptest.Server
	store  *db.MemoryStore
	root   string // the file of its own server's certificate
	roots  *x509.CertPool
	orders atomic.Int64
	refuse atomic.Pointer[string] // the Retry-After of a rate limit
}

// newPebble makes an authority that asks at these ports whether names are ours.
// Certificates are valid for age.
func newPebble(t *testing.T, http01, tlsalpn01 int, age time.Duration) *pebble {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "20") // per cent, as an authority may
	l := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(l, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: uint64(age / time.Second)}})
	validation := va.New(l, http01, tlsalpn01, true, resolver(t), store)
	front := wfe.New(l, store, validation, authority, []string{"pebble.letsencrypt.org"}, true, false, 1, 1)
	p := &pebble{store: store, roots: x509.NewCertPool()}
	h := front.Handler()
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "order-plz") {
			p.orders.Add(1)
			if after := p.refuse.Load(); after != nil {
				w.Header().Set("Retry-After", *after)
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprint(w, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}`)
				return
			}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	p.root = filepath.Join(t.TempDir(), "pebble.pem")
	must(t, os.WriteFile(p.root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600))
	p.roots.AddCert(authority.GetRootCert(0).Cert)
	return p
}

func (p *pebble) options() ACME {
	return ACME{Directory: p.URL + wfe.DirectoryPath, Root: p.root, Email: "admin@example.com"}
}

// resolver says that every name is this machine's.
func resolver(t *testing.T) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if one := q.Question[0]; one.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: one.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return l.Addr().String()
}

// fast is a pace for tests.
func fast() pace { return pace{50 * time.Millisecond, 200 * time.Millisecond, 100 * time.Millisecond} }

// certified waits until there is a certificate for a host, and returns it.
func (w *world) certified(t *testing.T, host string) *x509.Certificate {
	t.Helper()
	var cert *tls.Certificate
	eventually(t, "there is a certificate for "+host, func() bool {
		c, err := w.keeper.certificate(host)
		cert = c
		return err == nil
	})
	return cert.Leaf
}

// freePort is a port of this namespace that nobody has; the namespace is ours.
func freePort(t *testing.T) int {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	defer l.Close()
	return int(portOf(l))
}

// acmeWorld has ports that pebble asks at. 0 stands for one where nobody is.
func acmeWorld(t *testing.T, useHTTP, useTLS bool, age time.Duration) (*world, *pebble) {
	t.Helper()
	// The server's ports have to be known to pebble before it knows pebble.
	ports := [2]int{freePort(t), freePort(t)}
	asked := ports
	if !useHTTP {
		asked[0] = freePort(t)
	}
	if !useTLS {
		asked[1] = freePort(t)
	}
	p := newPebble(t, asked[0], asked[1], age)
	s, err := New(Options{Paths: newPaths(t), ACME: p.options(), pace: fast()})
	must(t, err)
	w := serveAt(t, s, ports)
	w.roots = p.roots
	return w, p
}

func TestACME(t *testing.T) {
	for name, use := range map[string][2]bool{"http-01": {true, false}, "tls-alpn-01": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			w, p := acmeWorld(t, use[0], use[1], 24*time.Hour)
			w.guest(t, "a", "a.example.com", container.TLSACME, reply("I am a"))
			w.guest(t, "b", "b.example.com", container.TLSACME, reply("I am b"))
			leaf := w.certified(t, "a.example.com")
			w.certified(t, "b.example.com")
			for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
				res, err := w.client(proto).Get("https://a.example.com/")
				must(t, err)
				if b, _ := io.ReadAll(res.Body); string(b) != "I am a" {
					t.Errorf("%q", b)
				}
			}
			if s := w.Status()["a"][0]; !s.Expires.Equal(leaf.NotAfter) || s.Trouble != "" {
				t.Errorf("status %+v", s)
			}
			files, err := filepath.Glob(w.paths.Ingress() + "/*")
			must(t, err)
			for _, f := range append(files, w.paths.Ingress()) {
				info, err := os.Stat(f)
				must(t, err)
				if info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s is for others: %v", f, info.Mode())
				}
			}
			// Another process has the same certificate, and asks for none.
			before := p.orders.Load()
			again := newWorld(t, Options{Paths: w.paths, ACME: p.options()})
			again.add(t, lease("a", container.Ingress{Host: "a.example.com", Port: 1, TLS: container.TLSACME}))
			if c := again.certified(t, "a.example.com"); !c.Equal(leaf) || p.orders.Load() != before {
				t.Error("a new process gets a new certificate")
			}
		})
	}
}

// TestRenewal has an authority that wants its certificates back at once, twice.
func TestRenewal(t *testing.T) {
	w, p := acmeWorld(t, true, true, 24*time.Hour)
	w.guest(t, "a", "a.example.com", container.TLSACME, reply("I am a"))
	leaf := w.certified(t, "a.example.com")
	for range 2 {
		now := time.Now().UTC()
		must(t, p.store.SetARIResponse(leaf.SerialNumber, fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`,
			now.Add(-time.Hour).Format(time.RFC3339), now.Add(-time.Minute).Format(time.RFC3339))))
		old := leaf
		eventually(t, "the certificate is a new one", func() bool {
			c := w.client("HTTP/2.0") // a new connection each time
			res, err := c.Get("https://a.example.com/")
			must(t, err) // at every moment there is one
			_, err = io.Copy(io.Discard, res.Body)
			must(t, err)
			c.CloseIdleConnections()
			leaf = res.TLS.PeerCertificates[0]
			return leaf.SerialNumber.Cmp(old.SerialNumber) != 0
		})
	}
}

func TestRenewalIsDue(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	window := func(from, to int) *acme.RenewalInfo {
		info := &acme.RenewalInfo{SelectedTime: day(to)}
		info.SuggestedWindow.Start, info.SuggestedWindow.End = day(from), day(to)
		return info
	}
	for name, c := range map[string]struct {
		rec  certificateFile
		want time.Time
	}{
		"the authority says nothing":    {certificateFile{}, day(60)},
		"the authority has a window":    {certificateFile{Renewal: window(40, 50)}, day(50)},
		"its window ends with validity": {certificateFile{Renewal: window(0, 90)}, day(81)},
		"its window is after validity":  {certificateFile{Renewal: window(100, 200)}, day(81)},
		"the last try failed":           {certificateFile{Failures: 1, Retry: day(3), Renewal: window(1, 2)}, day(3)},
		"it is of some other authority": {certificateFile{Directory: "https://other"}, time.Time{}},
	} {
		h := held{rec: c.rec, cert: &tls.Certificate{Leaf: &x509.Certificate{NotBefore: begin, NotAfter: day(90)}}}
		if due := h.due(""); !due.Equal(c.want) {
			t.Errorf("%s: due at %v, not at %v", name, due, c.want)
		}
	}
}

func TestWrongAuthority(t *testing.T) {
	w, p := acmeWorld(t, true, true, time.Hour)
	other := newPebble(t, 1, 1, time.Hour)
	w.keeper.issuer.Root = other.root
	must(t, os.WriteFile(other.root, []byte(wrongRoot(t)), 0o600))
	w.guest(t, "a", "a.example.com", container.TLSACME, reply(""))
	eventually(t, "there is a failure", func() bool { return w.Status()["a"][0].Trouble != "" })
	if s := w.Status()["a"][0]; !strings.Contains(s.Trouble, "unknown authority") || !strings.Contains(s.Trouble, "next try after") || p.orders.Load() != 0 {
		t.Errorf("status %+v", s)
	}
	res, err := w.client("HTTP/1.1").Get("http://a.example.com/")
	must(t, err)
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 503 || string(b) != "berth: there is no certificate for a.example.com yet\n" {
		t.Errorf("%d %q", res.StatusCode, b)
	}
	if _, err := tls.Dial("tcp", w.https, &tls.Config{ServerName: "a.example.com"}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("a handshake without a certificate: %v", err)
	}
}

// wrongRoot is a certificate that has nothing to do with anybody's.
func wrongRoot(t *testing.T) string {
	t.Helper()
	root, err := Root(t.Context(), state.Paths{Root: t.TempDir()})
	must(t, err)
	return root
}

// TestNotOurs asks for a name that does not lead here.
func TestNotOurs(t *testing.T) {
	w, p := acmeWorld(t, false, false, time.Hour)
	w.guest(t, "a", "a.example.com", container.TLSACME, reply(""))
	eventually(t, "there are three failures", func() bool { return w.failures("a.example.com") >= 3 })
	if s := w.Status()["a"][0]; !strings.Contains(s.Trouble, "authorization failed") {
		t.Errorf("status %+v", s)
	}
	// What is known of failures outlives the process.
	again := newWorld(t, Options{Paths: w.paths, ACME: p.options(), pace: pace{time.Hour, time.Hour, time.Hour}})
	must(t, w.Set(nil))
	again.add(t, w.leases[0])
	if s := again.Status()["a"][0]; !strings.Contains(s.Trouble, "authorization failed") {
		t.Errorf("status in a new process %+v", s)
	}
}

func (w *world) failures(host string) int {
	w.keeper.mu.Lock()
	defer w.keeper.mu.Unlock()
	h := w.keeper.hosts[host]
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rec.Failures
}

// TestRateLimit has an authority that wants to be left alone: once for long,
// then until it lets go.
func TestRateLimit(t *testing.T) {
	w, p := acmeWorld(t, true, true, time.Hour)
	hour := "3600"
	p.refuse.Store(&hour)
	w.guest(t, "a", "a.example.com", container.TLSACME, reply(""))
	eventually(t, "there is a failure", func() bool { return w.Status()["a"][0].Trouble != "" })
	if s := w.Status()["a"][0]; !strings.Contains(s.Trouble, "too many") {
		t.Errorf("status %+v", s)
	}
	w.guest(t, "b", "b.example.com", container.TLSACME, reply(""))
	eventually(t, "another name fails", func() bool { return w.Status()["b"][0].Trouble != "" })
	if s := w.Status()["b"][0]; !strings.Contains(s.Trouble, "wants to be asked again after") || p.orders.Load() != 1 {
		t.Errorf("status %+v, %d orders", s, p.orders.Load())
	}
	limits := w.keeper.issuer.limits
	limits.mu.Lock()
	limits.until = time.Time{}
	limits.mu.Unlock()
	p.refuse.Store(nil)
	w.guest(t, "c", "c.example.com", container.TLSACME, reply(""))
	w.certified(t, "c.example.com")
}

// TestForgottenAccount has an authority that lost its accounts.
func TestForgottenAccount(t *testing.T) {
	w, p := acmeWorld(t, true, true, time.Hour)
	w.guest(t, "a", "a.example.com", container.TLSACME, reply(""))
	w.certified(t, "a.example.com")
	var a account
	file := w.keeper.issuer.accountFile()
	must(t, state.ReadJSON(file, &a))
	if a.Contact[0] != "mailto:admin@example.com" {
		t.Errorf("account %+v", a)
	}
	a.Location += "0"
	must(t, state.WriteJSON(file, a))
	w.keeper.issuer.mu.Lock()
	w.keeper.issuer.account.Location = a.Location
	w.keeper.issuer.mu.Unlock()
	w.guest(t, "b", "b.example.com", container.TLSACME, reply(""))
	w.certified(t, "b.example.com")
	_ = p
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "60": time.Minute, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour} {
		var l rateLimits
		l.note(after)
		until, limited := l.free(time.Now())
		if limited != (want > 0) || limited && (time.Until(until)-want).Abs() > 2*time.Second {
			t.Errorf("%q: until %v", after, until)
		}
	}
}
