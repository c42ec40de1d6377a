package dns

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// data is what the records of an answer say.
func data(records []dns.RR) []string {
	var out []string
	for _, r := range records {
		out = append(out, strings.TrimPrefix(r.String(), r.Header().String()))
	}
	slices.Sort(out)
	return out
}

func TestOwnNames(t *testing.T) {
	t.Parallel()
	serve(t, "127.0.0.2", view(), noUpstream(t))
	const (
		none      = "none"      // of this type
		unknown   = "unknown"   // name
		elsewhere = "elsewhere" // who is to be asked, of whom there is none
	)
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
		zone  string // of the authority, where there is nothing
	}{
		{"web.", dns.TypeA, "10.88.0.5", ""},
		{"web.containers.", dns.TypeA, "10.88.0.5", ""},
		{"WeB.ContainerS.", dns.TypeAAAA, "fd00:88::5", ""},
		{"www.", dns.TypeA, "10.88.0.5", ""},
		{"www.containers.", dns.TypeAAAA, "fd00:88::5", ""},
		{"db.", dns.TypeA, "10.88.0.6", ""}, // a name goes before an alias
		{"db.", dns.TypeAAAA, none, "db."},
		{"store.example.", dns.TypeA, "10.88.0.6", ""},
		{"store.example.containers.", dns.TypeA, "10.88.0.6", ""},
		{"example.containers.", dns.TypeA, none, "containers."}, // there is a name below it
		{"my_app.", dns.TypeA, "192.168.5.5", ""},
		{"my-app.containers.", dns.TypeA, "192.168.5.5", ""},
		{"web.containers.", dns.TypeTXT, none, "containers."},
		{"nobody.containers.", dns.TypeA, unknown, "containers."},
		{"a.web.containers.", dns.TypeA, unknown, "containers."},
		{"containers.", dns.TypeA, none, "containers."},
		{"containers.", dns.TypeNS, "ns.containers.", ""},
		{"5.0.88.10.in-addr.arpa.", dns.TypePTR, "web.containers.", ""},
		{"5.0.88.10.in-addr.arpa.", dns.TypeA, none, "0.88.10.in-addr.arpa."},
		{"77.0.88.10.in-addr.arpa.", dns.TypePTR, unknown, "0.88.10.in-addr.arpa."},
		{"0.88.10.in-addr.arpa.", dns.TypePTR, none, "0.88.10.in-addr.arpa."},
		{"88.10.in-addr.arpa.", dns.TypePTR, elsewhere, ""},
		{"1.31.99.10.in-addr.arpa.", dns.TypePTR, unknown, "31.99.10.in-addr.arpa."},
		{"1.32.99.10.in-addr.arpa.", dns.TypePTR, elsewhere, ""},
		{"5.5.168.192.in-addr.arpa.", dns.TypePTR, "My_App.containers.", ""},
		{"6.5.168.192.in-addr.arpa.", dns.TypePTR, elsewhere, ""},
		{"5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.8.0.0.0.0.d.f.ip6.arpa.", dns.TypePTR, "web.containers.", ""},
		{"6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.8.0.0.0.0.d.f.ip6.arpa.", dns.TypePTR, unknown, "0.0.0.0.0.0.0.0.8.8.0.0.0.0.d.f.ip6.arpa."},
		{"nobody.", dns.TypeA, elsewhere, ""},
		{"xcontainers.", dns.TypeA, elsewhere, ""},
		{"example.", dns.TypeA, elsewhere, ""},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m := ask(t, network, "127.0.0.2", c.name, c.qtype)
			got, zone := strings.Join(data(m.Answer), " "), ""
			if len(m.Ns) == 1 && m.Ns[0].Header().Rrtype == dns.TypeSOA && m.Ns[0].(*dns.SOA).Minttl == 0 {
				zone = m.Ns[0].Header().Name
			}
			switch {
			case m.Rcode == dns.RcodeServerFailure && !m.Authoritative:
				got = elsewhere
			case m.Rcode == dns.RcodeNameError:
				got = unknown
			case m.Rcode == dns.RcodeSuccess && got == "":
				got = none
			}
			want := c.want
			if strings.HasPrefix(want, "My_App") {
				want = strings.ToLower(want)
			}
			if got != want || !strings.EqualFold(zone, c.zone) || (got != elsewhere) != m.Authoritative || m.Question[0].Name != c.name {
				t.Errorf("%s %s by %s: %s, zone %q; not %s, zone %q\n%v", c.name, dns.Type(c.qtype), network, got, zone, want, c.zone, m)
			}
			for _, r := range m.Answer {
				if r.Header().Name != c.name || r.Header().Ttl != 0 {
					t.Errorf("%s: answered by %v", c.name, r)
				}
			}
		}
	}
}

func TestApex(t *testing.T) {
	t.Parallel()
	serve(t, "127.0.0.3", view(), noUpstream(t))
	for _, zone := range []string{"containers.", "0.88.10.in-addr.arpa.", "0.0.0.0.0.0.0.0.8.8.0.0.0.0.d.f.ip6.arpa."} {
		m := ask(t, "udp", "127.0.0.3", zone, dns.TypeSOA)
		if len(m.Answer) != 1 || m.Answer[0].Header().Name != zone || m.Answer[0].Header().Rrtype != dns.TypeSOA {
			t.Errorf("%s: %v", zone, m)
		}
	}
}

func TestReverseZone(t *testing.T) {
	t.Parallel()
	for network, want := range map[string]string{
		"10.88.0.0/24": "0.88.10.in-addr.arpa", "10.0.0.0/8": "10.in-addr.arpa", "10.88.16.0/20": "16.88.10.in-addr.arpa",
		"fd00:88::/64": "0.0.0.0.0.0.0.0.8.8.0.0.0.0.d.f.ip6.arpa", "fd00::/8": "d.f.ip6.arpa",
	} {
		if got := ReverseZone(prefix(network)); got != want {
			t.Errorf("%s: %s, not %s", network, got, want)
		}
	}
}
