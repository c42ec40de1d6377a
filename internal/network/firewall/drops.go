package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Drop is a chain that drops what is forwarded between interfaces, unless one
// of its rules lets it through.
type Drop struct {
	Chain string // for people, such as "nftables inet filter FORWARD"
	How   string // such as "its policy is drop"
}

func (d Drop) String() string { return d.Chain + ": " + d.How }

// Forwarding are the chains of this network namespace that drop forwarded
// traffic, in nftables and in the older tables of iptables.
func Forwarding() ([]Drop, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	drops, err := forwarding(c)
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	old, err := legacy()
	return append(drops, old...), err
}

// forwarding asks nftables. A kernel without it has no such chains.
func forwarding(c *nftables.Conn) ([]Drop, error) {
	chains, err := c.ListChains()
	if absent(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var out []Drop
	for _, chain := range chains {
		if chain.Hooknum == nil || *chain.Hooknum != *nftables.ChainHookForward || chain.Type != nftables.ChainTypeFilter {
			continue
		}
		name := fmt.Sprintf("nftables %s %s %s", family(chain.Table.Family), chain.Table.Name, chain.Name)
		if chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
			out = append(out, Drop{name, "its policy is drop"})
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil && !errors.Is(err, unix.ENOENT) { // it may have gone meanwhile
			return nil, err
		}
		if len(rules) > 0 && refusesAll(rules[len(rules)-1]) {
			out = append(out, Drop{name, "its last rule refuses everything"})
		}
	}
	return out, nil
}

func absent(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// refusesAll reports whether a rule has no condition, and drops or rejects.
func refusesAll(r *nftables.Rule) bool {
	refuses := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			refuses = true
		case *expr.Verdict:
			if e.Kind != expr.VerdictDrop {
				return false
			}
			refuses = true
		default:
			return false
		}
	}
	return refuses
}

func family(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyBridge:
		return "bridge"
	}
	return fmt.Sprint(f)
}

// legacy asks the tables of iptables that are not in nftables, where they are
// in use: to ask otherwise would load them.
func legacy() ([]Drop, error) {
	var out []Drop
	for _, t := range []struct{ names, program string }{
		{"/proc/net/ip_tables_names", "iptables-legacy"}, {"/proc/net/ip6_tables_names", "ip6tables-legacy"},
	} {
		names, err := os.ReadFile(t.names)
		if err != nil || !slices.Contains(strings.Fields(string(names)), "filter") {
			continue
		}
		rules, err := exec.Command(t.program, "-S", "FORWARD").Output()
		if errors.Is(err, exec.ErrNotFound) {
			return out, fmt.Errorf("%s lists tables of iptables, but %s is not there to read them", t.names, t.program)
		} else if err != nil {
			return out, fmt.Errorf("%s -S FORWARD: %w", t.program, err)
		}
		if how := refusal(rules); how != "" {
			out = append(out, Drop{t.program + " filter FORWARD", how})
		}
	}
	return out, nil
}

// refusal says how the rules of a chain, as iptables -S prints them, refuse
// what none of them lets through; "" if they do not.
func refusal(rules []byte) string {
	lines := strings.Split(string(bytes.TrimSpace(rules)), "\n")
	if slices.Contains(lines, "-P FORWARD DROP") {
		return "its policy is drop"
	}
	last := strings.Fields(lines[len(lines)-1])
	if len(last) >= 4 && last[0] == "-A" && last[2] == "-j" && (last[3] == "DROP" || last[3] == "REJECT") {
		return "its last rule refuses everything"
	}
	return ""
}
