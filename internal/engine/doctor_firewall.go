package engine

import (
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/firewall"
)

// firewallRemedy is what lets the guests' traffic through a chain that drops
// it. bridge is that of the default network.
func firewallRemedy(d firewall.Drop, tools map[firewall.Tool]bool, bridge string) string {
	const also = "; likewise for the bridges of other networks, which berth network ls shows"
	program, chain, _ := strings.Cut(d.Chain, " ")
	switch {
	case strings.Contains(chain, "firewalld"):
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-interface=%s && firewall-cmd --reload", bridge) + also
	case tools[firewall.Docker] && strings.HasSuffix(chain, "filter FORWARD"):
		iptables := "iptables"
		if strings.HasPrefix(chain, "ip6") || program == "ip6tables-legacy" {
			iptables = "ip6tables"
		}
		return fmt.Sprintf("%[1]s -I DOCKER-USER -i %[2]s -j ACCEPT && %[1]s -I DOCKER-USER -o %[2]s -j ACCEPT, after each start of Docker", iptables, bridge) + also
	case tools[firewall.UFW]:
		return fmt.Sprintf("ufw route allow in on %[1]s && ufw route allow out on %[1]s && ufw allow in on %[1]s to any port 53", bridge) + also
	case tools[firewall.NixOS]:
		return fmt.Sprintf("networking.firewall.trustedInterfaces = [ %q ]; in the host's configuration", bridge) + also
	case program == "nftables":
		return fmt.Sprintf("nft 'insert rule %[1]s iifname %[2]q accept; insert rule %[1]s oifname %[2]q accept', and the same where the rules are kept", chain, bridge) + also
	}
	return fmt.Sprintf("%[1]s -I FORWARD -i %[2]s -j ACCEPT && %[1]s -I FORWARD -o %[2]s -j ACCEPT, and the same where the rules are kept", program, bridge) + also
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
