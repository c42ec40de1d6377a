package firewall

import (
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

// Drop is a chain that drops packets, unless one of its rules lets them
// through.
type Drop struct {
	Chain string // for people, such as "nftables inet filter FORWARD"
	How   string // such as "its policy is drop"
	// Missing are the interfaces from which not all is let through, of those that
	// were asked for.
	Missing []string
}

func (d Drop) String() string { return d.Chain + ": " + d.How }

// Forwarding are the chains of this network namespace that drop forwarded
// traffic, in nftables and in the older tables of iptables. Where interfaces
// are named, chains are left out that accept all that comes from each of them,
// by a rule for its name.
func Forwarding(interfaces ...string) ([]Drop, error) {
	return drops(nftables.ChainHookForward, "FORWARD", interfaces)
}

// Incoming are likewise the chains that drop what comes to the host itself, as
// the questions of guests for names do.
func Incoming(interfaces ...string) ([]Drop, error) {
	return drops(nftables.ChainHookInput, "INPUT", interfaces)
}

// drops asks nftables and iptables for what drops packets of a hook, which
// iptables has a chain for.
func drops(hook *nftables.ChainHook, chain string, interfaces []string) ([]Drop, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	drops, err := ask(c, *hook, interfaces)
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	old, err := legacy(chain, interfaces)
	return append(drops, old...), err
}

// ask asks nftables. A kernel without it has no such chains.
func ask(c *nftables.Conn, hook nftables.ChainHook, interfaces []string) ([]Drop, error) {
	chains, err := c.ListChains()
	if absent(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var out []Drop
	for _, chain := range chains {
		if f := chain.Table.Family; f != inet && f != nftables.TableFamilyIPv4 && f != nftables.TableFamilyIPv6 ||
			chain.Hooknum == nil || *chain.Hooknum != hook || chain.Type != nftables.ChainTypeFilter {
			continue
		}
		w := newWalk(c, chain.Table, chains)
		how, err := w.refusal(chain)
		if err != nil {
			return nil, err
		}
		if how == "" {
			continue
		}
		missing, err := w.missing(chain.Name, interfaces)
		if err != nil {
			return nil, err
		}
		if len(interfaces) == 0 || len(missing) > 0 {
			out = append(out, Drop{fmt.Sprintf("nftables %s %s %s", familyName(chain.Table.Family), chain.Table.Name, chain.Name), how, missing})
		}
	}
	return out, nil
}

func absent(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// refusal says how a chain refuses what none of its rules lets through; "" if it
// does not.
func (w walk) refusal(chain *nftables.Chain) (string, error) {
	rules, err := w.of(chain.Name)
	if err != nil {
		return "", err
	}
	if chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
		return "its policy is drop", nil
	}
	if len(rules) > 0 && refused(always(rules[len(rules)-1])) {
		return "its last rule refuses everything", nil
	}
	end, err := w.end(chain.Name, nil)
	if err != nil || !refused(end) {
		return "", err
	}
	return "a chain that it jumps to refuses everything else", nil
}

func refused(v *expr.Verdict) bool { return v != nil && v.Kind == expr.VerdictDrop }

func familyName(f nftables.TableFamily) string {
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
func legacy(chain string, interfaces []string) ([]Drop, error) {
	var out []Drop
	for _, t := range []struct{ names, program string }{
		{"/proc/net/ip_tables_names", "iptables-legacy"}, {"/proc/net/ip6_tables_names", "ip6tables-legacy"},
	} {
		names, err := os.ReadFile(t.names)
		if err != nil || !slices.Contains(strings.Fields(string(names)), "filter") {
			continue
		}
		rules, err := exec.Command(t.program, "-S").Output()
		if errors.Is(err, exec.ErrNotFound) {
			return out, fmt.Errorf("%s lists tables of iptables, but %s is not there to read them", t.names, t.program)
		} else if err != nil {
			return out, fmt.Errorf("%s -S: %w", t.program, err)
		}
		if how, missing := refusal(string(rules), chain, interfaces); how != "" {
			out = append(out, Drop{t.program + " filter " + chain, how, missing})
		}
	}
	return out, nil
}

// refusal says how a chain, of a table as iptables -S prints it, refuses what
// none of its rules lets through; "" if it does not, or the table accepts what
// comes from all interfaces. missing are those of which it does not.
func refusal(table, chain string, interfaces []string) (how string, missing []string) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	accepts := func(target string) bool { // also by a chain of its own, as on NixOS
		return target == "ACCEPT" || slices.Contains(lines, "-A "+target+" -j ACCEPT")
	}
	missing = slices.DeleteFunc(slices.Clone(interfaces), func(name string) bool {
		return slices.ContainsFunc(lines, func(l string) bool {
			f := strings.Fields(l)
			return len(f) == 6 && f[0] == "-A" && f[2] == "-i" && f[3] == name && f[4] == "-j" && accepts(f[5])
		})
	})
	switch {
	case len(interfaces) > 0 && len(missing) == 0:
		return "", nil
	case slices.Contains(lines, "-P "+chain+" DROP"):
		return "its policy is drop", missing
	case refusesAll(lines, chain):
		return "its last rule refuses everything", missing
	}
	return "", nil
}

// refusesAll reports whether the last rule of a chain refuses everything, by itself
// or by the chain that it leads to.
func refusesAll(table []string, chain string) bool {
	var last []string
	for _, l := range table {
		if strings.HasPrefix(l, "-A "+chain+" ") {
			last = strings.Fields(l)
		}
	}
	if len(last) < 4 || last[2] != "-j" && last[2] != "-g" {
		return false
	}
	return last[3] == "DROP" || last[3] == "REJECT" || refusesAll(table, last[3]) // the kernel allows no circles
}
