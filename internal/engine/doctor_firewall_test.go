package engine

import (
	"strings"
	"testing"

	"github.com/berth-containers/berth/internal/network/firewall"
)

func TestFirewallRemedy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chain string
		tool  firewall.Tool
		want  string
	}{
		{"nftables inet firewalld filter_FORWARD", firewall.Docker, "firewall-cmd --permanent --zone=trusted --add-interface=berth0 --add-interface=ve-db && firewall-cmd --reload"},
		{"nftables ip filter FORWARD", firewall.Docker, "iptables -I DOCKER-USER -i berth0 -j ACCEPT && iptables -I DOCKER-USER -o berth0 -j ACCEPT && iptables -I DOCKER-USER -i ve-db -j ACCEPT && iptables -I DOCKER-USER -o ve-db -j ACCEPT, after each boot"},
		{"nftables ip6 filter FORWARD", firewall.Docker, "ip6tables -I DOCKER-USER -i berth0"},
		{"iptables-legacy filter FORWARD", firewall.Docker, "iptables -I DOCKER-USER"},
		{"nftables ip filter FORWARD", firewall.UFW, "ufw route allow in on berth0 && ufw route allow out on berth0 && ufw route allow in on ve-db && ufw route allow out on ve-db"},
		{"nftables inet nixos-fw forward", firewall.NixOS, `networking.firewall.trustedInterfaces = [ "berth0" "ve-db" ];`},
		{"nftables inet mine f", "", `nft 'insert rule inet mine f iifname "berth0" accept; insert rule inet mine f oifname "berth0" accept; insert rule inet mine f iifname "ve-db" accept; insert rule inet mine f oifname "ve-db" accept'`},
		{"ip6tables-legacy filter FORWARD", "", "ip6tables-legacy -I FORWARD -i berth0 -j ACCEPT"},
	} {
		got := firewallRemedy(firewall.Drop{Chain: c.chain, Missing: []string{"berth0", "ve-db"}}, map[firewall.Tool]bool{c.tool: true})
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, not %s", c.chain, got, c.want)
		}
	}
}

func TestIncomingRemedy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		chain string
		tool  firewall.Tool
		want  string
	}{
		{"nftables inet firewalld filter_INPUT", firewall.Firewalld, "firewall-cmd --permanent --zone=trusted --add-interface=berth0 --add-interface=ve-db && firewall-cmd --reload"},
		{"nftables ip filter INPUT", firewall.UFW, "ufw allow in on berth0 && ufw allow in on ve-db"},
		{"nftables inet nixos-fw input", firewall.NixOS, `networking.firewall.trustedInterfaces = [ "berth0" "ve-db" ];`},
		{"nftables ip filter INPUT", firewall.Docker, `nft 'insert rule ip filter INPUT iifname "berth0" accept; insert rule ip filter INPUT iifname "ve-db" accept',`},
		{"ip6tables-legacy filter INPUT", "", "ip6tables-legacy -I INPUT -i berth0 -j ACCEPT && ip6tables-legacy -I INPUT -i ve-db -j ACCEPT,"},
	} {
		got := incomingRemedy(firewall.Drop{Chain: c.chain, Missing: []string{"berth0", "ve-db"}}, map[firewall.Tool]bool{c.tool: true})
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, not %s", c.chain, got, c.want)
		}
	}
}
