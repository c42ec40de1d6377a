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

// TestPublishedByMaps finds what is named by sets and maps, of all kinds, or in
// the chain that leads to another.
func TestPublishedByMaps(t *testing.T) {
	t.Parallel()
	w := bare(t)
	w.host.run("nft", `table ip maps {
		map named { type inet_service : ipv4_addr . inet_service; elements = { 8001 : 10.0.0.1 . 80, 8002 : 10.0.0.2 . 80 } }
		map where { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 192.0.2.1 . tcp . 8010 : goto web, 192.0.2.1 . udp . 8011 : goto web, 192.0.2.1 . sctp . 8012 : goto web } }
		map ranges { type ipv4_addr . inet_service : ipv4_addr . inet_service; flags interval; elements = { 192.0.2.2 . 8020-8029 : 10.0.0.1 . 80 } }
		set some { type inet_service; flags interval; elements = { 8040-8049, 8051 } }
		set others { type ipv4_addr; elements = { 192.0.2.3, 192.0.2.4 } }
		chain pre {
			type nat hook prerouting priority -100;
			dnat ip addr . port to tcp dport map @named
			ip daddr . meta l4proto . th dport vmap @where
			dnat ip addr . port to ip daddr . tcp dport map @ranges
			udp dport { 8030, 8032-8033, 65000-65535 } dnat to 10.0.0.3
			dnat to tcp dport map { 8034 : 10.0.0.1, 8035-8036 : 10.0.0.2 }
			meta l4proto { tcp, udp } th dport @some redirect to :80
			tcp dport != { 8060, 8061 } dnat to 10.0.0.4
			iifname vmap { "lo" : accept, "eth7" : jump lan }
			ip saddr @others tcp dport 8062 counter redirect to : tcp dport map { 8062 : 80 }
			ip daddr 192.0.2.0/24 tcp dport > 65530 dnat to 10.0.0.5
		}
		chain web { dnat to 10.0.0.1; }
		chain lan { tcp dport 8070-8079 jump narrow; }
		chain narrow { tcp dport { 8079, 8080 } dnat to 10.0.0.6; }
		chain unused { tcp dport 8090 dnat to 10.0.0.7; }
	}`)
	var all []Published
	var err error
	w.host.do(func() { all, err = AllPublished("berth") })
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprintf("%s %d-%d %v %s", p.Protocol, p.First, p.Last, p.Address, strings.TrimPrefix(p.By, "nftables ip maps ")))
	}
	slices.Sort(got)
	want := []string{
		"tcp 65531-65535 invalid IP pre", "tcp 8001-8001 invalid IP pre", "tcp 8002-8002 invalid IP pre", "tcp 8010-8010 192.0.2.1 web",
		"tcp 8020-8029 192.0.2.2 pre", "tcp 8034-8034 invalid IP pre", "tcp 8035-8036 invalid IP pre", "tcp 8040-8049 invalid IP pre", "tcp 8051-8051 invalid IP pre",
		"tcp 8062-8062 invalid IP pre", "tcp 8079-8079 invalid IP narrow",
		"udp 65000-65535 invalid IP pre", "udp 8011-8011 192.0.2.1 web", "udp 8030-8030 invalid IP pre", "udp 8032-8033 invalid IP pre",
		"udp 8040-8049 invalid IP pre", "udp 8051-8051 invalid IP pre",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s\nnot\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPublishedByIptables reads what iptables has in nftables and elsewhere.
func TestPublishedByIptables(t *testing.T) {
	t.Parallel()
	var l leading
	l.rule([]expr.Any{
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 9, Len: 1}, &expr.Cmp{Data: []byte{17}},
		&expr.Match{Name: "udp", Info: &xt.Udp{DstPorts: [2]uint16{53, 54}}}, &expr.Counter{}, &expr.Target{Name: "DNAT"},
	}, anything(), "somebody")
	if want := []Published{{Protocol: "udp", First: 53, Last: 54, By: "somebody"}}; !slices.Equal(l.out, want) {
		t.Errorf("%v", l.out)
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
