package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// TestPublished finds the ports that rules of others lead elsewhere, and no
// others; berth's own are none of these.
func TestPublished(t *testing.T) {
	t.Parallel()
	w := bare(t)
	w.now = some(10)
	w.update(Rules{}, w.now)
	for _, line := range []string{
		"add table ip nat", "add chain ip nat PREROUTING { type nat hook prerouting priority -100; }", "add chain ip nat DOCKER",
		"add rule ip nat PREROUTING fib daddr type local jump DOCKER",
		`add rule ip nat DOCKER iifname != "docker0" tcp dport 8080 dnat to 172.17.0.2:80`,
		`add rule ip nat DOCKER ip daddr 127.0.0.1 udp dport 9000-9010 dnat to 172.17.0.3`,
		"add rule ip nat DOCKER tcp dport != 7000 dnat to 172.17.0.4",
		"add rule ip nat PREROUTING tcp dport 7001 accept",
		"add table inet own", "add chain inet own pre { type nat hook prerouting priority -100; }", "add rule inet own pre meta nfproto ipv6 tcp dport 443 redirect to :8443",
		"add table ip filter", "add chain ip filter FORWARD { type filter hook forward priority 0; }", "add rule ip filter FORWARD tcp dport 7002 accept",
	} {
		w.host.run("nft", line)
	}
	var got []Published
	var err error
	w.host.do(func() { got, err = AllPublished(w.Instance) })
	slices.SortFunc(got, func(a, b Published) int { return cmp.Compare(a.First, b.First) })
	want := []Published{
		{"tcp", 443, 443, netip.Addr{}, "nftables inet own pre"},
		{"tcp", 8080, 8080, netip.Addr{}, "Docker"},
		{"udp", 9000, 9010, netip.MustParseAddr("127.0.0.1"), "Docker"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestPublishedByIptables reads what iptables has in nftables and elsewhere.
func TestPublishedByIptables(t *testing.T) {
	t.Parallel()
	p, ok := published([]expr.Any{
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 9, Len: 1}, &expr.Cmp{Data: []byte{17}},
		&expr.Match{Name: "udp", Info: &xt.Udp{DstPorts: [2]uint16{53, 54}}}, &expr.Counter{}, &expr.Target{Name: "DNAT"},
	})
	if want := (Published{Protocol: "udp", First: 53, Last: 54}); !ok || p != want {
		t.Errorf("%v, %v", p, ok)
	}
	for rule, want := range map[string]string{
		"-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80":  "{tcp 8080 8080 invalid IP Docker} true",
		"-A PREROUTING -d 192.0.2.1/32 -p udp -m udp --dport 70:80 -j REDIRECT --to-ports 53":       "{udp 70 80 192.0.2.1 iptables-legacy nat PREROUTING} true",
		"-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE":                                "false",
		"-A PREROUTING -p tcp -m tcp ! --dport 8080 -j DNAT --to-destination 172.17.0.2:80":         "false",
		"-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER":                                      "false",
		"-A DOCKER -d 0.0.0.0/0 -p sctp -m sctp --dport 8080 -j DNAT --to-destination 172.17.0.2:8": "false",
	} {
		p, ok := publishedBy(strings.Fields(rule), "iptables-legacy")
		if got := fmt.Sprint(p, ok); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", rule, got)
		}
	}
}
