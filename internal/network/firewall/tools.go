package firewall

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/google/nftables"
)

// Tool is a program that keeps a firewall of its own on a host.
type Tool string

// The tools that are known by their chains.
const (
	Docker    Tool = "docker"
	Firewalld Tool = "firewalld"
	UFW       Tool = "ufw"
	NixOS     Tool = "nixos"
)

// Tools are the tools whose chains are in this network namespace.
func Tools() (map[Tool]bool, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	out := map[Tool]bool{}
	chains, err := c.ListChains()
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	for _, chain := range chains {
		out[toolOf(chain.Table.Name, chain.Name)] = true
	}
	if _, err := os.Stat("/proc/net/ip_tables_names"); err == nil {
		rules, err := exec.Command("iptables-legacy", "-S").Output()
		if err != nil && !errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("iptables-legacy -S: %w", err)
		}
		for line := range strings.Lines(string(rules)) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == "-N" {
				out[toolOf("filter", f[1])] = true
			}
		}
	}
	delete(out, "")
	return out, nil
}

// toolOf says whose chain it is; "" where it is nobody's that is known.
func toolOf(table, chain string) Tool {
	switch {
	case table == "firewalld":
		return Firewalld
	case chain == "DOCKER-USER":
		return Docker
	case strings.HasPrefix(chain, "ufw-user-"), strings.HasPrefix(chain, "ufw6-user-"): // the others stay when it is disabled
		return UFW
	case strings.HasPrefix(table, "nixos-fw"), strings.HasPrefix(chain, "nixos-fw"), strings.HasPrefix(chain, "nixos-filter"):
		return NixOS
	}
	return ""
}
