package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/firewall"
)

// checkFirewall looks for what stops traffic between guests with networks of
// their own and the world, and what they ask the host for. Firewalls that let
// through all that comes from the interfaces of these do not.
func (e *Engine) checkFirewall(ctx context.Context) []container.Finding {
	const check = "firewall"
	unknown := func(err error) []container.Finding {
		return finding(check, container.Warn, err.Error(), "look for rules that drop forwarded traffic yourself")
	}
	if broken, err := network.Broken(ctx, e.Paths); err != nil {
		return unknown(err)
	} else if broken {
		return finding(check, container.Bad, "somebody has removed rules of berth from nftables, or a part of them: guests' ports and their way out do not work, and they are not held to their addresses",
			"berth doctor --fix makes them anew, and so does berth apply")
	}
	links, err := e.ownLinks()
	if err != nil {
		return unknown(err)
	}
	forwarding, err := firewall.Forwarding(links...)
	if err != nil {
		return unknown(err)
	}
	incoming, err := firewall.Incoming(links...)
	if err != nil {
		return unknown(err)
	}
	tools, err := firewall.Tools()
	if err != nil {
		return unknown(err)
	}
	var out []container.Finding
	add := func(text, remedy string) {
		out = append(out, container.Finding{Check: check, Severity: container.Warn, Text: text,
			Remedy: "nothing for guests on the host's network; for others: " + remedy})
	}
	for _, d := range forwarding {
		add(fmt.Sprintf("traffic from one interface to another is dropped unless a rule lets it through (%v)", d), firewallRemedy(d, tools))
	}
	for _, d := range incoming {
		add(fmt.Sprintf("what guests ask the host for, names above all, is dropped unless a rule lets it through (%v)", d), incomingRemedy(d, tools))
	}
	if out == nil {
		return finding(check, container.Good, "nothing drops what is forwarded, or what guests ask the host for", "")
	}
	return out
}

// ownLinks are the interfaces of the host that lead to guests: the bridges of all
// networks, or the one that the first guest would get, and the links to guests
// alone.
func (e *Engine) ownLinks() ([]string, error) {
	var out []string
	all, err := network.ReadNetworks(e.Paths)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		out = append(out, e.defaultBridge())
	}
	for _, n := range all {
		out = append(out, n.Bridge)
	}
	leases, err := network.ReadLeases(e.Paths)
	for _, l := range leases {
		for _, k := range l.Links {
			if k.Kind == network.Point {
				out = append(out, k.Host)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), err
}

// each joins a text with each of the names in the place of every %s.
func each(names []string, text, separator string) string {
	var out []string
	for _, n := range names {
		out = append(out, strings.ReplaceAll(text, "%s", n))
	}
	return strings.Join(out, separator)
}

// everywhereRemedy is what lets traffic through for good, in all directions,
// where a tool has such words; "" elsewhere.
func everywhereRemedy(d firewall.Drop, tools map[firewall.Tool]bool) string {
	switch {
	case strings.Contains(d.Chain, "firewalld"):
		return "firewall-cmd --permanent --zone=trusted" + each(d.Missing, " --add-interface=%s", "") + " && firewall-cmd --reload"
	case tools[firewall.NixOS]:
		return "networking.firewall.trustedInterfaces = [" + each(d.Missing, ` "%s"`, "") + " ]; in the host's configuration"
	}
	return ""
}

// incomingRemedy is what lets the guests' questions to the host through a chain
// that drops them. berth's own rules hold them to DNS, DHCP and allowHost.
func incomingRemedy(d firewall.Drop, tools map[firewall.Tool]bool) string {
	if r := everywhereRemedy(d, tools); r != "" {
		return r
	}
	program, chain, _ := strings.Cut(d.Chain, " ")
	switch {
	case tools[firewall.UFW] && strings.HasSuffix(chain, "filter INPUT"):
		return each(d.Missing, "ufw allow in on %s", " && ")
	case program == "nftables":
		return "nft '" + each(d.Missing, "insert rule "+chain+` iifname "%s" accept`, "; ") + "', and the same where the rules are kept"
	}
	return each(d.Missing, program+" -I INPUT -i %s -j ACCEPT", " && ") + ", and the same where the rules are kept"
}

// firewallRemedy is what lets the guests' traffic through a chain that drops
// it.
func firewallRemedy(d firewall.Drop, tools map[firewall.Tool]bool) string {
	program, chain, _ := strings.Cut(d.Chain, " ")
	if tools[firewall.UFW] && strings.HasSuffix(chain, "filter FORWARD") { // its words last, beside Docker too
		return each(d.Missing, "ufw route allow in on %s && ufw route allow out on %s", " && ")
	}
	docker := tools[firewall.Docker] && strings.HasSuffix(chain, "filter FORWARD")
	if r := everywhereRemedy(d, tools); r != "" && !docker {
		return r
	}
	switch {
	case docker:
		iptables := "iptables"
		if strings.HasPrefix(chain, "ip6") || program == "ip6tables-legacy" {
			iptables = "ip6tables"
		}
		return each(d.Missing, iptables+" -I DOCKER-USER -i %s -j ACCEPT && "+iptables+" -I DOCKER-USER -o %s -j ACCEPT", " && ") + ", after each boot"
	case program == "nftables":
		return "nft '" + each(d.Missing, "insert rule "+chain+` iifname "%s" accept; insert rule `+chain+` oifname "%s" accept`, "; ") + "', and the same where the rules are kept"
	}
	return each(d.Missing, program+" -I FORWARD -i %s -j ACCEPT && "+program+" -I FORWARD -o %s -j ACCEPT", " && ") + ", and the same where the rules are kept"
}

// defaultBridge is the bridge of the default network, as it is or would be.
func (e *Engine) defaultBridge() string {
	if all, err := network.ReadNetworks(e.Paths); err == nil {
		if n, ok := all[container.DefaultNetwork]; ok {
			return n.Bridge
		}
	}
	if w, err := e.want(onDemand(container.DefaultNetwork)); err == nil {
		return w.Bridge
	}
	return network.BridgeName(e.Paths, container.DefaultNetwork)
}
