package network

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/internal/preinit"
)

// domain is that of guests' names, which they may leave out.
const domain = "containers"

// Settings are what a guest is told of its lease, so that it can resolve names,
// and so that no network manager in it undoes what berth has set up.
func Settings(l Lease) preinit.Settings {
	var s preinit.Settings
	resolvers := l.resolvers()
	add := func(path string, lines ...string) {
		s.Files = append(s.Files, preinit.File{Path: path, Text: strings.Join(lines, "\n") + "\n"})
	}
	var fixed []string // what berth has set up
	for _, k := range l.Links {
		switch {
		case k.DHCP:
			add("/run/systemd/network/00-berth-"+k.Guest+".network", header, "[Match]", "Name="+k.Guest, "", "[Network]", "DHCP=yes", "IPv6AcceptRA=yes")
			s.Client = k.Guest
		case len(k.Addresses) > 0:
			fixed = append(fixed, k.Guest)
			add("/run/systemd/network/00-berth-"+k.Guest+".network", networkdOf(k)...)
		}
	}
	if len(fixed) > 0 {
		addManagers(fixed, add)
	}
	if len(resolvers) > 0 {
		text := header + "\n"
		for _, r := range resolvers {
			text += "nameserver " + r + "\n"
		}
		// A question that is lost with the process for names is soon repeated. One
		// that is repeated while others still look for its answer costs them nothing.
		s.Resolver = text + "search " + domain + "\noptions timeout:1 attempts:5\n"
		lines := []string{header, "[Resolve]", "DNS=" + strings.Join(resolvers, " "), "Domains=" + domain}
		if !slices.ContainsFunc(l.Links, func(k Link) bool { return k.Network == "" }) {
			lines = append(lines, noNeighbours)
		}
		add("/run/systemd/resolved.conf.d/10-berth.conf", lines...)
	}
	s.Files = append(s.Files, preinit.File{Path: "/etc/hosts", Text: "127.0.0.1 localhost\n::1 localhost\n", Missing: true})
	return s
}

// noNeighbours keeps systemd-resolved from asking the neighbours for short names:
// on berth's networks berth knows them all, and others could say what they like.
const noNeighbours = "LLMNR=no"

const header = "# Written by berth at each start of this container."

// resolvers are where the guest asks for names, each once.
func (l Lease) resolvers() []string {
	var out []string
	for _, k := range l.Links {
		for _, r := range k.Resolvers {
			if !slices.Contains(out, r.String()) {
				out = append(out, r.String())
			}
		}
	}
	return out
}

// networkdOf has systemd-networkd say of a link what berth has made of it
// already. The file comes before the guest's own, whose names begin with
// higher numbers.
func networkdOf(k Link) []string {
	lines := []string{header, "[Match]", "Name=" + k.Guest, "", "[Network]", "DHCP=no", "IPv6AcceptRA=no", "KeepConfiguration=yes", "ConfigureWithoutCarrier=yes"}
	for _, r := range k.Resolvers {
		lines = append(lines, "DNS="+r.String())
	}
	if len(k.Resolvers) > 0 {
		lines = append(lines, "Domains="+domain)
	}
	if k.Network != "" {
		lines = append(lines, noNeighbours)
	}
	for _, a := range k.Addresses {
		lines = append(lines, "", "[Address]", "Address="+a.String(), "DuplicateAddressDetection=none")
	}
	for _, g := range k.Gateways {
		lines = append(lines, "", "[Route]", "Gateway="+g.String(), "GatewayOnLink=yes")
	}
	return append(lines, returnsOf(k)...)
}

// returnsOf are the routes by which what is sent from addresses of the link goes.
func returnsOf(k Link) []string {
	var lines []string
	table := "Table=" + strconv.Itoa(k.Table)
	for _, g := range k.Returns {
		if k.Kind == Point {
			lines = append(lines, "", "[Route]", "Destination="+g.String(), "Scope=link")
		}
	}
	for _, a := range k.Addresses {
		ways := k.returnsFor(a)
		if len(ways) == 0 {
			continue
		}
		for _, w := range ways {
			lines = append(lines, "", "[Route]", "Destination="+w.to.String(), "Gateway="+w.by.String(), "GatewayOnLink=yes", table)
		}
		if !a.IsSingleIP() {
			lines = append(lines, "", "[Route]", "Destination="+a.Masked().String(), "Scope=link", table)
		}
		lines = append(lines, "", "[RoutingPolicyRule]", "From="+a.Addr().String(), table, "Priority="+strconv.Itoa(k.Table))
	}
	return lines
}

// addManagers tells the other network managers that links are set up: NetworkManager
// that they are not its own; the families of ifupdown, each with a file of its
// state, that it has set them up in a way of which its configuration knows nothing,
// so that it does not take them down; and the unit of Debian's, that it leaves
// them out when it is started anew. dhcpcd adds to what it finds.
func addManagers(links []string, add func(path string, lines ...string)) {
	var names, ups []string
	for _, name := range links {
		names = append(names, "interface-name:"+name)
		ups = append(ups, name+"=berth")
		add("/run/network/ifstate."+name, "berth")
	}
	add("/run/NetworkManager/conf.d/10-berth.conf", header, "[main]", "rc-manager=unmanaged", "", "[device-berth]", "match-device="+strings.Join(names, ","), "managed=0")
	add("/run/network/ifstate", ups...)
	add("/run/ifstate", ups...)
	add("/run/systemd/system/networking.service.d/10-berth.conf", header, "[Service]", `Environment="EXCLUDE_INTERFACES=`+strings.Join(links, " ")+`"`)
}
