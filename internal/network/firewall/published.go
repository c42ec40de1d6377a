package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
)

// Published is a port of the host, or a range, that rules of others lead
// somewhere, as Docker's for what its containers publish. Nobody listens there.
type Published struct {
	Protocol    string // tcp or udp
	First, Last uint16
	Address     netip.Addr // of the host; the zero Addr: all
	By          string     // for people, such as "Docker"
}

// AllPublished are those of this network namespace that name their ports: in
// nftables, but for the tables called own, by rules, sets and maps; and in the
// older tables of iptables. Chains with rules that package nftables cannot read
// are left out.
func AllPublished(own string) ([]Published, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	chains, err := c.ListChains()
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	var out []Published
	for _, chain := range chains {
		if chain.Type == nftables.ChainTypeNAT && chain.Hooknum != nil && chain.Table.Name != own {
			l := leading{walk: newWalk(c, chain.Table, chains), seen: map[visit]bool{}}
			l.through(chain.Name, anything())
			out = append(out, l.out...)
		}
	}
	old, err := legacyPublished()
	return unique(append(out, old...)), err
}

// unique are all of them once: a chain may be led to from several.
func unique(all []Published) []Published {
	seen := map[Published]bool{}
	return slices.DeleteFunc(all, func(p Published) bool {
		before := seen[p]
		seen[p] = true
		return before
	})
}

// publisher is whose chain it is.
func publisher(chain, otherwise string) string {
	switch {
	case strings.HasPrefix(chain, "DOCKER"):
		return "Docker"
	case strings.HasPrefix(strings.ToUpper(chain), "NETAVARK"), strings.HasPrefix(strings.ToUpper(chain), "NV_"):
		return "Podman"
	}
	return otherwise
}

// legacyPublished are those of the tables of iptables that are not in nftables,
// where they are in use.
func legacyPublished() ([]Published, error) {
	var out []Published
	for _, t := range []struct{ names, program string }{
		{"/proc/net/ip_tables_names", "iptables-legacy"}, {"/proc/net/ip6_tables_names", "ip6tables-legacy"},
	} {
		names, err := os.ReadFile(t.names)
		if err != nil || !slices.Contains(strings.Fields(string(names)), "nat") {
			continue
		}
		rules, err := exec.Command(t.program, "-t", "nat", "-S").Output()
		if errors.Is(err, exec.ErrNotFound) {
			continue // doctor says so
		} else if err != nil {
			return out, fmt.Errorf("%s -t nat -S: %w", t.program, err)
		}
		for line := range strings.Lines(string(rules)) {
			if p, ok := publishedBy(strings.Fields(line), t.program); ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// publishedBy reads a rule as iptables -S prints it.
func publishedBy(rule []string, program string) (p Published, ok bool) {
	leads := false
	for i := 0; i+1 < len(rule); i++ {
		value := rule[i+1]
		if rule[i] == "!" && value != "-i" {
			return p, false
		}
		switch rule[i] {
		case "-A":
			p.By = publisher(value, program+" nat "+value)
		case "-p":
			p.Protocol = value
		case "-d":
			if a, err := netip.ParsePrefix(value); err == nil && a.IsSingleIP() {
				p.Address = a.Addr()
			}
		case "--dport":
			first, last, ranged := strings.Cut(value, ":")
			if !ranged {
				last = first
			}
			from, err1 := strconv.ParseUint(first, 10, 16)
			to, err2 := strconv.ParseUint(last, 10, 16)
			if err1 != nil || err2 != nil {
				return p, false
			}
			p.First, p.Last = uint16(from), uint16(to)
		case "-j":
			leads = value == "DNAT" || value == "REDIRECT"
		}
	}
	return p, leads && (p.Protocol == "tcp" || p.Protocol == "udp") && p.Last != 0
}
