package firewall

import (
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// bridgeChains see every frame at the port of a bridge where a guest sends it.
// They let pass only what has the guest's own MAC and IP addresses, on bridges
// of berth's also no answers of routers and DHCP servers. What most frames are
// takes one look at a set.
func bridgeChains() []chain {
	first := nftables.ChainPriorityRef(-200) // before br_netfilter, at 0, shows IP packets to the tables inet
	return []chain{
		{name: "guard", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting, priority: first, rules: []match{
			and(isType(unix.ETH_P_IP), proceed("ip4")),
			and(isType(unix.ETH_P_IPV6), proceed("ip6")),
			jump("who"),
			and(isType(unix.ETH_P_ARP), proceed("arp")),
			// On bridges of others guests are machines as all are, but neither switches,
			// nor within two tags what the rules do not look into.
			and(isType(unix.ETH_P_8021Q), drop()),
			and(isType(unix.ETH_P_8021AD), drop()),
			and(is(macTarget(), spanningTree()...), drop()),
			and(begins(macTarget(), 40, cisco()...), drop()),
			and(of("foreign", in()), accept()),
			drop(),
		}},
		// Others than guests may send what they want, and so may guests of which
		// nothing but the MAC address is known.
		{name: "who", rules: []match{
			and(notOf("ports", in()), accept()),
			and(notOf("macs", in(), macSource()), drop()),
			and(of("free", in(), etherType()), accept()),
		}},
		{name: "ip4", rules: []match{
			and(udp(), is(toPort(), port(dhcpClient)...), jump("serve")),
			and(of("source4", in(), macSource(), source4()), accept()),
			jump("who"),
			and(is(source4(), make([]byte, 4)...), udp(), is(fromPort(), port(dhcpClient)...), is(toPort(), port(dhcpServer)...), accept()),
			drop(),
		}},
		{name: "ip6", rules: []match{
			and(is(protocol(), unix.IPPROTO_ICMPV6), jump("icmp6")),
			and(udp(), is(toPort(), port(dhcp6Client)...), jump("serve")),
			and(of("source6", in(), macSource(), source6()), accept()),
			jump("who"),
			drop(),
		}},
		// Clients of DHCP do not look from which port an answer is.
		{name: "serve", rules: []match{
			jump("who"),
			and(notOf("foreign", in()), drop()),
		}},
		{name: "icmp6", rules: []match{
			jump("who"),
			and(is(icmp(), icmp6Router), notOf("foreign", in()), drop()),
			and(is(icmp(), icmp6Redirect), notOf("foreign", in()), drop()),
			and(is(icmp(), icmp6Advert), notOf("source6", in(), macSource(), solicited()), drop()),
			and(not(source6(), make([]byte, 16)...), leave()),
			// Who has no address yet asks whether one is taken, for routers, and for groups.
			and(is(icmp(), icmp6Solicit), of("source6", in(), macSource(), solicited()), accept()),
			and(is(icmp(), icmp6Routers), accept()),
			and(is(icmp(), icmp6Report), accept()),
			and(is(icmp(), icmp6Report2), accept()),
			drop(),
		}},
		{name: "arp", rules: []match{
			and(not(network(0, 6), arpOfIP()...), drop()),
			and(of("source4", in(), network(8, 6), network(14, 4)), accept()),
			and(is(network(14, 4), make([]byte, 4)...), of("macs", in(), network(8, 6)), accept()), // a probe, RFC 5227
			drop(),
		}},
		// A port may have to send back what came from it, to the guest that uses
		// its own port on the host. All else is no more than an echo.
		{name: "echo", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookForward, priority: first, rules: []match{
			and(of("loop", in(), out()), notOf("macs", out(), macTarget()), drop()),
		}},
	}
}

// spanningTree is the group to which bridges tell each other of themselves, IEEE
// 802.1D, and cisco how the groups begin at which switches of that maker do.
func spanningTree() []byte { return []byte{0x01, 0x80, 0xc2, 0, 0, 0} }
func cisco() []byte        { return []byte{0x01, 0x00, 0x0c, 0xcc, 0xcc} }

// isType holds for frames of a type of Ethernet.
func isType(t uint16) match { return is(etherType(), port(t)...) }

// arpOfIP is how ARP for IPv4 over Ethernet begins: the two types, and the
// lengths of their addresses.
func arpOfIP() []byte { return []byte{0, 1, 8, 0, 6, 4} }
