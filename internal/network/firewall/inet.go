package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// chain is one chain of a table. One without hook is jumped to.
type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rules    []match
}

// The port of DNS, and those of DHCP's servers and clients.
const (
	dnsPort     = 53
	dhcpServer  = 67
	dhcpClient  = 68
	dhcp6Client = 546
	dhcp6Server = 547
)

// inetChains see what passes the host: what guests send to it, to each other
// over it, and to the world, and back. Where bridge-nf-call-iptables is set,
// they see also what passes a bridge.
func inetChains(lists uint32) []chain {
	return slices.Concat(guards(), floods(lists), translations(), filters())
}

// guards throw away what guests have no right to send, before anything else
// looks at it. The host's own 127.0.0.0/8 is open to their interfaces, which
// have route_localnet set for the host's connections to ports. To the ports of
// bridges themselves nothing comes that guests may send: what they address to a
// group such as that of LLDP, which bridges keep, IP packets too, the host would
// take there.
func guards() []chain {
	return []chain{
		{name: "guard", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting, priority: nftables.ChainPriorityRaw, rules: []match{
			and(is4(), begins(source4(), 8, 127), of("ours", in()), drop()),
			and(is4(), begins(target4(), 8, 127), of("ours", in()), drop()),
			and(of("points", in()), jump("point")),
		}},
		{name: "point", rules: []match{
			and(is4(), of("source4", in(), source4()), leave()),
			and(is6(), of("source6", in(), source6()), leave()),
			and(is6(), is(source6(), make([]byte, 16)...), is(protocol(), unix.IPPROTO_ICMPV6), of("ours", in()), leave()), // it has no address yet
			drop(),
		}},
	}
}

// translations lead ports to guests, and guests to the world.
func translations() []chain {
	before := nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest + 10)
	ports := and(toHost(), jump("ports"))
	count := and(translated(), jump("count"))
	return []chain{
		{name: "ports-in", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPrerouting, priority: nftables.ChainPriorityNATDest, rules: []match{
			and(is4(), of("dns4", in(), target4()), is(toPort(), port(dnsPort)...), accept()), // for the guests, whoever has that port outside
			and(is6(), of("dns6", in(), target6()), is(toPort(), port(dnsPort)...), accept()),
			ports,
		}},
		{name: "ports-out", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookOutput, priority: nftables.ChainPriorityNATDest, rules: []match{ports}},
		{name: "ports", rules: []match{
			and(is4(), begins(target4(), 8, 127), of("proxied", protocol(), toPort()), leave()),
			and(is4(), of("ours", in()), jump("walls-one4")),
			and(is4(), translate(unix.NFPROTO_IPV4, 4, "one4", target4(), protocol(), toPort())),
			and(is4(), of("ours", in()), jump("walls-all4")),
			and(is4(), translate(unix.NFPROTO_IPV4, 4, "all4", protocol(), toPort())),
			// Nothing can be forwarded from ::1 and from addresses of one link.
			and(is6(), is(target6(), loopback6()...), leave()),
			and(is6(), begins(target6(), 10, 0xfe, 0x80), leave()),
			and(is6(), of("ours", in()), jump("walls-one6")),
			and(is6(), translate(unix.NFPROTO_IPV6, 16, "one6", target6(), protocol(), toPort())),
			and(is6(), of("ours", in()), jump("walls-all6")),
			and(is6(), translate(unix.NFPROTO_IPV6, 16, "all6", protocol(), toPort())),
		}},
		walls("one4", "4", target4(), target4(), protocol(), toPort()),
		walls("all4", "4", nowhere(4), protocol(), toPort()),
		walls("one6", "6", target6(), target6(), protocol(), toPort()),
		walls("all6", "6", nowhere(16), protocol(), toPort()),
		{name: "count-in", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting, priority: before, rules: []match{count}},
		{name: "count-out", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookOutput, priority: before, rules: []match{count}},
		{name: "count", rules: []match{
			and(is4(), is(direction(), 0), of("count4", counted(target4())...), accept()),
			and(is4(), is(direction(), 1), of("count4", counted(source4())...), accept()),
			and(is6(), is(direction(), 0), of("count6", counted(target6())...), accept()),
			and(is6(), is(direction(), 1), of("count6", counted(source6())...), accept()),
		}},
		{name: "masquerade", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting, priority: nftables.ChainPriorityNATSource, rules: []match{
			and(translated(), jump("near")),
			and(of("ours", out()), is4(), begins(source4(), 8, 127), masquerade()),
			and(of("ours", out()), accept()),
			and(of("nat", in()), masquerade()),
		}},
		{name: "near", rules: []match{
			and(is4(), of("near4", out(), source4()), masquerade()),
			and(is6(), of("near6", out(), source6()), masquerade()),
			and(is4(), of("lan4", source4(), target4()), masquerade()),
			and(is6(), of("lan6", source6(), target6()), masquerade()),
		}},
	}
}

// walls keep who may not reach a guest, since one of both is isolated, from being
// led there by the ports in a map: he finds nobody at the host. To refuse what is
// translated already takes an ICMP error, and TCP over IPv6 does not listen to that
// before it has tried again, a second later. at is the address at which the ports are,
// and key what the map has of them.
func walls(portMap, family string, at field, key ...field) chain {
	ports := []field{at, protocol(), toPort()}
	return chain{name: "walls-" + portMap, rules: []match{
		and(of("own"+family, append([]field{in()}, ports...)...), leave()),
		and(of("isolated", in()), known(portMap, key...), notOf("outer"+family, ports...), accept()),
		and(of("shut"+family, ports...), accept()),
	}}
}

// counted are the fields of the sets of counters.
func counted(guest field) []field {
	return []field{direction(), protocol(), tracked(expr.CtKeyPROTODST, 0, 2), guest}
}

// direction is 0 for packets from where the connection was opened.
func direction() field { return tracked(expr.CtKeyDIRECTION, 0, 1) }

// filters let through what may pass. Other tables may still drop it. What most
// packets are is asked first, and what takes a look at a set after that.
func filters() []chain {
	fromOurs, toOurs := of("ours", in()), of("ours", out())
	syn := and(tcp(), match{
		transport(13, 1).load(register), // the flags
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{tcpSyn | tcpRst}, Xor: []byte{0}},
		&expr.Cmp{Register: register, Data: []byte{tcpSyn}},
	})
	clamp := match{
		&expr.Rt{Register: register, Key: expr.RtTCPMSS},
		&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 2, Size: 2},
		&expr.Exthdr{SourceRegister: register, Type: 2, Offset: 2, Len: 2, Op: expr.ExthdrOpTcpopt},
	}
	return []chain{
		{name: "clamp", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward, priority: nftables.ChainPriorityMangle, rules: []match{
			and(syn, fromOurs, clamp), and(syn, toOurs, clamp),
		}},
		{name: "forward", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward, priority: nftables.ChainPriorityFilter, rules: []match{
			and(toOurs, proceed("inward")),
			and(fromOurs, proceed("outward")),
		}},
		{name: "between", rules: []match{
			and(of("same", in(), out()), proceed("arrive")),
			and(of("isolated", in()), proceed("refuse")),
			and(of("isolated", out()), proceed("refuse")),
			proceed("arrive"),
		}},
		{name: "outward", rules: []match{
			and(invalid(), of("nat", in()), drop()), // it would leave with the guest's own address
			accept(),
		}},
		{name: "inward", rules: []match{
			and(fromOurs, proceed("between")),
			and(answers(), accept()),
			and(translated(), accept()),
			and(invalid(), of("nat", out()), drop()),
			and(of("nat", out()), proceed("refuse")),
			proceed("arrive"),
		}},
		// Nobody is looked for who is not there: each would take a place among the
		// neighbours that the host knows, which are all machines' and limited.
		{name: "arrive", rules: []match{
			and(answers(), accept()),
			and(notOf("bridges", out()), accept()),
			and(is4(), of("near4", out(), target4()), accept()),
			and(is6(), of("near6", out(), target6()), accept()),
			and(is6(), begins(target6(), 10, 0xfe, 0x80), accept()), // only shown here, as what passes a bridge
			and(toOne(), proceed("refuse")),
			accept(),
		}},
		{name: "input", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookInput, priority: nftables.ChainPriorityFilter, rules: []match{
			and(answers(), accept()),
			and(fromOurs, proceed("host")),
		}},
		{name: "host", rules: []match{
			and(is4(), is(protocol(), unix.IPPROTO_ICMP), is(icmp(), icmpEcho), accept()),
			and(is6(), icmp6(icmp6Echo), accept()),
			and(is6(), icmp6(icmp6Solicit), accept()),
			and(is6(), icmp6(icmp6Advert), accept()),
			and(is6(), is(protocol(), unix.IPPROTO_ICMPV6), drop()),
			and(is4(), of("dns4", in(), target4()), jump("dns")),
			and(is6(), of("dns6", in(), target6()), jump("dns")),
			and(of("dhcp", in()), udp(), is(toPort(), port(dhcpServer)...), is4(), accept()),
			and(of("dhcp", in()), udp(), is(toPort(), port(dhcp6Server)...), is6(), accept()),
			and(is4(), of("host4", source4(), protocol(), toPort()), accept()),
			and(is6(), of("host6", source6(), protocol(), toPort()), accept()),
			and(is4(), of("range4", source4(), protocol(), toPort()), accept()),
			and(is6(), of("range6", source6(), protocol(), toPort()), accept()),
			proceed("refuse"),
		}},
		{name: "dns", rules: []match{
			and(udp(), is(toPort(), port(dnsPort)...), accept()),
			and(tcp(), is(toPort(), port(dnsPort)...), accept()),
		}},
		{name: "refuse", rules: []match{
			// What rules of others have translated. Where packets on bridges are shown here,
			// resets go out untranslated. The ICMPv6 error comes while the guest's socket still
			// sends, and is not listened to (LockDroppedIcmps): it counts after the next try, 1 s later.
			and(translated(), match{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}}),
			and(tcp(), match{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}),
			{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}},
		}},
	}
}

// Flags of TCP.
const (
	tcpSyn = 0x02
	tcpRst = 0x04
)

// Types of ICMP and of ICMPv6.
const (
	icmpEcho      = 8
	icmp6Report   = 131 // of listeners to groups, RFC 2710
	icmp6Echo     = 128
	icmp6Routers  = 133 // routers, tell yourselves
	icmp6Router   = 134
	icmp6Solicit  = 135
	icmp6Advert   = 136
	icmp6Redirect = 137
	icmp6Report2  = 143 // RFC 3810
)
