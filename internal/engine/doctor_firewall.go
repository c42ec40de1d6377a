package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/firewall"
)

// checkFirewall looks for what stops traffic between guests with networks of
// their own and the world, and what they ask the host for. Firewalls that let
// through all that comes from the bridges of these networks do not.
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
	bridges := e.bridges()
	forwarding, err := firewall.Forwarding(bridges...)
	if err != nil {
		return unknown(err)
	}
	incoming, err := firewall.Incoming(bridges...)
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
		add(fmt.Sprintf("traffic from one interface to another is dropped unless a rule lets it through (%v)", d), firewallRemedy(d, tools, e.defaultBridge()))
	}
	for _, d := range incoming {
		add(fmt.Sprintf("what guests ask the host for, names above all, is dropped unless a rule lets it through (%v)", d), incomingRemedy(d, tools, e.defaultBridge()))
	}
	if out == nil {
		return finding(check, container.Good, "nothing drops what is forwarded, or what guests ask the host for", "")
	}
	return out
}

// bridges are those of all networks, or the one that the first guest would get.
func (e *Engine) bridges() []string {
	all, err := network.ReadNetworks(e.Paths)
	if err != nil || len(all) == 0 {
		return []string{e.defaultBridge()}
	}
	var out []string
	for _, n := range all {
		out = append(out, n.Bridge)
	}
	return out
}

const alsoOthers = "; likewise for the bridges of other networks, which berth network ls shows"

// incomingRemedy is what lets the guests' questions to the host through a chain
// that drops them. berth's own rules hold them to DNS, DHCP and allowHost.
func incomingRemedy(d firewall.Drop, tools map[firewall.Tool]bool, bridge string) string {
	program, chain, _ := strings.Cut(d.Chain, " ")
	switch {
	case strings.Contains(chain, "firewalld"):
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", bridge) + alsoOthers
	case tools[firewall.UFW]:
		return "ufw allow in on " + bridge + alsoOthers
	case tools[firewall.NixOS]:
		return fmt.Sprintf("networking.firewall.trustedInterfaces = [ %q ]; in the host's configuration", bridge) + alsoOthers
	case program == "nftables":
		return fmt.Sprintf("nft 'insert rule %s iifname %q accept', and the same where the rules are kept", chain, bridge) + alsoOthers
	}
	return fmt.Sprintf("%s -I INPUT -i %s -j ACCEPT, and the same where the rules are kept", program, bridge) + alsoOthers
}

// firewallRemedy is what lets the guests' traffic through a chain that drops
// it. bridge is that of the default network.
func firewallRemedy(d firewall.Drop, tools map[firewall.Tool]bool, bridge string) string {
	program, chain, _ := strings.Cut(d.Chain, " ")
	switch {
	case strings.Contains(chain, "firewalld"):
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", bridge) + alsoOthers
	case tools[firewall.Docker] && strings.HasSuffix(chain, "filter FORWARD"):
		iptables := "iptables"
		if strings.HasPrefix(chain, "ip6") || program == "ip6tables-legacy" {
			iptables = "ip6tables"
		}
		return fmt.Sprintf("%[1]s -I DOCKER-USER -i %[2]s -j ACCEPT && %[1]s -I DOCKER-USER -o %[2]s -j ACCEPT, after each start of Docker", iptables, bridge) + alsoOthers
	case tools[firewall.UFW]:
		return fmt.Sprintf("ufw route allow in on %[1]s && ufw route allow out on %[1]s", bridge) + alsoOthers
	case tools[firewall.NixOS]:
		return fmt.Sprintf("networking.firewall.trustedInterfaces = [ %q ]; in the host's configuration", bridge) + alsoOthers
	case program == "nftables":
		return fmt.Sprintf("nft 'insert rule %[1]s iifname %[2]q accept; insert rule %[1]s oifname %[2]q accept', and the same where the rules are kept", chain, bridge) + alsoOthers
	}
	return fmt.Sprintf("%[1]s -I FORWARD -i %[2]s -j ACCEPT && %[1]s -I FORWARD -o %[2]s -j ACCEPT, and the same where the rules are kept", program, bridge) + alsoOthers
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
