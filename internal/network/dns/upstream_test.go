package dns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolver starts a name server that stands for one of the host's, and counts
// what it is asked.
func resolver(t *testing.T, at string, answer func(w dns.ResponseWriter, m *dns.Msg)) *atomic.Int32 {
	t.Helper()
	count := new(atomic.Int32)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { count.Add(1); answer(w, m) })
	udp, err := net.ListenPacket("udp", at+":53")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", at+":53")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return count
}

// says answers every question with these records, and these of the authority.
func says(rcode int, answer, authority string) func(dns.ResponseWriter, *dns.Msg) {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetRcode(m, rcode)
		for line := range strings.Lines(answer) {
			rr, _ := dns.NewRR(line)
			rr.Header().Name = m.Question[0].Name
			r.Answer = append(r.Answer, rr)
		}
		if authority != "" {
			rr, _ := dns.NewRR(authority)
			r.Ns = append(r.Ns, rr)
		}
		if o := m.IsEdns0(); o != nil {
			r.SetEdns0(1232, o.Do())
		}
		if w.RemoteAddr().Network() == "udp" {
			size := 512
			if o := m.IsEdns0(); o != nil {
				size = int(o.UDPSize())
			}
			r.Truncate(size)
		}
		_ = w.WriteMsg(r)
	}
}

func silent(dns.ResponseWriter, *dns.Msg) {}

// conf is a file in the form of resolv.conf(5).
func conf(t *testing.T, text string) string {
	t.Helper()
	path := t.TempDir() + "/resolv.conf"
	writeConf(t, path, text)
	return path
}

func writeConf(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	count := resolver(t, "127.1.0.1", says(dns.RcodeSuccess, "x. 300 IN A 1.2.3.4\nx. 200 IN RRSIG A 8 2 300 20300101000000 20200101000000 1 example.org. AAAA", ""))
	serve(t, "127.0.1.1", view(), NewUpstream(conf(t, "nameserver 127.1.0.1\n")))
	m := new(dns.Msg)
	m.SetQuestion("eXample.org.", dns.TypeA)
	m.SetEdns0(1400, true)
	for range 3 {
		r := exchange(t, "udp", "127.0.1.1", m)
		if len(r.Answer) != 2 || r.Answer[0].Header().Ttl != 300 || r.Authoritative || !r.IsEdns0().Do() || r.Question[0].Name != "eXample.org." {
			t.Fatal(r)
		}
	}
	m.Question[0].Name = "example.ORG."
	if r := exchange(t, "tcp", "127.0.1.1", m); r.Question[0].Name != "example.ORG." || len(r.Answer) != 2 {
		t.Error(r)
	}
	if count.Load() != 1 {
		t.Errorf("the resolver was asked %d times, not once", count.Load())
	}
	m.SetEdns0(1400, false)
	m.Extra = m.Extra[:1]
	m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
	for range 2 {
		exchange(t, "udp", "127.0.1.1", m)
	}
	if count.Load() != 3 {
		t.Errorf("what is only for one client is asked each time: %d", count.Load())
	}
}

// TestBig asks for an answer that only TCP can carry.
func TestBig(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, "x. 60 IN A 10.0.%d.%d\n", i/200, i%200)
	}
	resolver(t, "127.1.0.2", says(dns.RcodeSuccess, lines.String(), ""))
	serve(t, "127.0.1.2", view(), NewUpstream(conf(t, "nameserver 127.1.0.2\n")))
	if r := ask(t, "udp", "127.0.1.2", "big.example.", dns.TypeA); !r.Truncated {
		t.Errorf("by UDP it is whole: %d", len(r.Answer))
	}
	for range 2 {
		if r := ask(t, "tcp", "127.0.1.2", "big.example.", dns.TypeA); len(r.Answer) != 300 {
			t.Errorf("by TCP %d", len(r.Answer))
		}
	}
	if r := ask(t, "udp", "127.0.1.2", "big.example.", dns.TypeA); !r.Truncated || len(r.Answer) > 0 {
		t.Errorf("by UDP what is kept is whole: %d", len(r.Answer))
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	good := resolver(t, "127.1.0.3", says(dns.RcodeSuccess, "x. 0 IN A 1.2.3.4", ""))
	resolver(t, "127.1.0.4", silent)
	resolver(t, "127.1.0.5", says(dns.RcodeServerFailure, "", ""))
	for i, servers := range []string{"127.1.0.4 127.1.0.3", "127.1.0.5 127.1.0.3", "127.1.0.99 127.1.0.3"} {
		var text string
		for _, s := range strings.Fields(servers) {
			text += "nameserver " + s + "\n"
		}
		at := fmt.Sprintf("127.0.1.%d", 10+i)
		serve(t, at, view(), NewUpstream(conf(t, text)))
		for range 2 {
			begun := time.Now()
			if r := ask(t, "udp", at, "example.org.", dns.TypeA); len(r.Answer) != 1 || time.Since(begun) > askLimit/2 {
				t.Errorf("%s: after %v\n%v", servers, time.Since(begun), r)
			}
		}
	}
	if good.Load() != 6 {
		t.Errorf("it was asked %d times", good.Load())
	}
	serve(t, "127.0.1.20", view(), NewUpstream(conf(t, "nameserver 127.1.0.5\n")))
	if r := ask(t, "udp", "127.0.1.20", "example.org.", dns.TypeA); r.Rcode != dns.RcodeServerFailure {
		t.Error(r)
	}
}

// TestChange follows the file of the resolvers, and knows nothing without one.
func TestChange(t *testing.T) {
	t.Parallel()
	resolver(t, "127.1.0.6", says(dns.RcodeSuccess, "x. 300 IN A 1.1.1.1", ""))
	resolver(t, "127.1.0.7", says(dns.RcodeSuccess, "x. 300 IN A 2.2.2.2", ""))
	path := t.TempDir() + "/resolv.conf"
	serve(t, "127.0.1.3", view(), NewUpstream(path))
	for _, c := range []struct{ text, want string }{
		{"", "[] SERVFAIL"}, {"nameserver 127.1.0.6\n", "[1.1.1.1] NOERROR"}, {"nameserver 127.1.0.7\n", "[2.2.2.2] NOERROR"},
		{"# none\n", "[] SERVFAIL"}, {"nameserver 127.0.1.3\n", "[] SERVFAIL"}, // its own
	} {
		if c.text != "" {
			writeConf(t, path, c.text)
		}
		begun := time.Now()
		r := ask(t, "udp", "127.0.1.3", "example.org.", dns.TypeA)
		if got := fmt.Sprint(data(r.Answer), " ", dns.RcodeToString[r.Rcode]); got != c.want || time.Since(begun) > askLimit/2 {
			t.Errorf("%q: %s, not %s, after %v", c.text, got, c.want, time.Since(begun))
		}
	}
}

// TestLoop has a resolver that asks this server back.
func TestLoop(t *testing.T) {
	t.Parallel()
	count := resolver(t, "127.1.0.8", func(w dns.ResponseWriter, m *dns.Msg) {
		c := dns.Client{Timeout: 2 * time.Second}
		r, _, err := c.Exchange(m, "127.0.1.4:53")
		if err != nil {
			r = new(dns.Msg).SetRcode(m, dns.RcodeServerFailure)
		}
		_ = w.WriteMsg(r)
	})
	serve(t, "127.0.1.4", view(), NewUpstream(conf(t, "nameserver 127.1.0.8\noptions attempts:1 timeout:1\n")))
	if r := ask(t, "udp", "127.0.1.4", "example.org.", dns.TypeA); r.Rcode != dns.RcodeServerFailure {
		t.Error(r)
	}
	if count.Load() > 2 {
		t.Errorf("it went round %d times", count.Load())
	}
}

// TestFlood asks more at once than a client may.
func TestFlood(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	count := resolver(t, "127.1.0.9", func(w dns.ResponseWriter, m *dns.Msg) {
		<-release
		says(dns.RcodeSuccess, "x. 0 IN A 1.2.3.4", "")(w, m)
	})
	serve(t, "127.0.1.5", view(), NewUpstream(conf(t, "nameserver 127.1.0.9\noptions timeout:10 attempts:1\n")))
	var failed, good atomic.Int32
	var all sync.WaitGroup
	for i := range maxAsking + 20 {
		all.Go(func() {
			m := new(dns.Msg)
			m.SetQuestion(fmt.Sprintf("n%d.example.", i), dns.TypeA)
			c := dns.Client{Timeout: 8 * time.Second}
			r, _, err := c.Exchange(m, "127.0.1.5:53")
			switch {
			case err != nil:
				t.Error(err)
			case r.Rcode == dns.RcodeServerFailure:
				if failed.Add(1) == 20 {
					close(release)
				}
			default:
				good.Add(1)
			}
		})
	}
	all.Wait()
	if failed.Load() != 20 || good.Load() != maxAsking || count.Load() != maxAsking {
		t.Errorf("%d failed, %d did not, of %d", failed.Load(), good.Load(), count.Load())
	}
	if r := ask(t, "udp", "127.0.1.5", "web.", dns.TypeA); len(r.Answer) != 1 {
		t.Error("own names suffer from it")
	}
}

func TestResolvers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]resolvers{
		"nameserver 1.1.1.1\nnameserver fe80::1%lo\nnameserver nonsense\nsearch a b\n": {[]netip.Addr{addr("1.1.1.1"), addr("fe80::1%lo")}, 5 * time.Second, 2, false},
		"nameserver ::ffff:1.1.1.1\noptions rotate timeout:1 attempts:3\n":             {[]netip.Addr{addr("1.1.1.1")}, time.Second, 3, true},
		"": {nil, 5 * time.Second, 2, false},
	} {
		got, err := readResolvers(conf(t, text))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, not %v (%v)", text, got, want, err)
		}
	}
}
