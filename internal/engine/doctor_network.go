package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
)

// checkForwarding looks whether the kernel still does what guests' networks
// need, which berth has it do with the first of them.
func (e *Engine) checkForwarding() []container.Finding {
	const check = "forwarding"
	lapsed, err := network.Lapsed(e.Paths)
	if err != nil {
		return finding(check, container.Warn, err.Error(), "")
	}
	if len(lapsed) == 0 {
		return finding(check, container.Good, "the kernel's settings are as guests that run need them", "")
	}
	var words []string
	for _, s := range lapsed {
		words = append(words, s.String())
	}
	return finding(check, container.Bad, "somebody has changed settings of the kernel that guests' networks need: it has to be "+strings.Join(words, ", "),
		"berth doctor --fix sets them; find who changes them, as with grep -r "+strings.ReplaceAll(lapsed[0].Name, "/", ".")+" /etc/sysctl.conf /etc/sysctl.d")
}

// checkManagers looks whether a network manager of the host has links of berth's:
// it may take their addresses away at any time.
func (e *Engine) checkManagers(ctx context.Context) []container.Finding {
	const check = "network managers"
	taken, err := network.TakenOver(ctx, e.Paths)
	if err != nil {
		return finding(check, container.Warn, err.Error(), "")
	}
	bridges, err := e.ownLinks()
	if err != nil {
		return finding(check, container.Warn, err.Error(), "")
	}
	links, guests := map[string][]string{}, map[string][]container.Name{}
	for _, m := range taken {
		links[m.Manager] = append(links[m.Manager], m.Link)
		guests[m.Manager] = append(guests[m.Manager], m.Guests...)
	}
	var out []container.Finding
	for _, m := range slices.Sorted(maps.Keys(links)) {
		out = append(out, container.Finding{Check: check, Severity: container.Warn,
			Text:   fmt.Sprintf("%s manages links of berth's, and may take their addresses away: %s", m, strings.Join(links[m], ", ")),
			Remedy: managerRemedy(m, append(bridges, links[m]...), guests[m])})
	}
	if out == nil {
		return finding(check, container.Good, "none has links of berth's", "")
	}
	return out
}

// managerRemedy is what makes a network manager leave links alone, and those of
// guests to come. NetworkManager leaves links as they are then; systemd-networkd
// has taken their addresses away before.
func managerRemedy(manager string, links []string, guests []container.Name) string {
	links = slices.DeleteFunc(slices.Clone(links), func(l string) bool { return strings.HasPrefix(l, "ve-") })
	slices.Sort(links)
	links = append(slices.Compact(links), "ve-*")
	if manager == "NetworkManager" {
		return `printf '[keyfile]\nunmanaged-devices+=interface-name:` + strings.Join(links, ";interface-name:") +
			`\n' >/etc/NetworkManager/conf.d/zz-berth.conf && nmcli general reload`
	}
	names := ""
	for _, n := range slices.Compact(slices.Sorted(slices.Values(guests))) {
		names += " " + string(n)
	}
	return `printf '[Match]\nName=` + strings.Join(links, " ") + `\n[Link]\nUnmanaged=yes\n' >/etc/systemd/network/0-berth.network && networkctl reload && berth restart` + names
}

// checkPorts looks whether somebody has come to have a port of the host that
// leads to a guest: who of the two gets what arrives is a matter of chance.
func (e *Engine) checkPorts(a around) []container.Finding {
	const check = "ports"
	unknown := func(err error) []container.Finding { return finding(check, container.Warn, err.Error(), "") }
	leases, err := network.ReadLeases(e.Paths)
	if err != nil {
		return unknown(err)
	}
	var f network.Facts
	if slices.ContainsFunc(leases, func(l network.Lease) bool { return len(l.Ports) > 0 }) {
		if f, err = a.ports(); err != nil {
			return unknown(err)
		}
	}
	var out []container.Finding
	for _, l := range leases {
		for _, err := range network.PortsOn(l, f) {
			remedy := ""
			if known, ok := errors.AsType[*container.Error](err); ok {
				remedy = known.Hint
			}
			out = append(out, container.Finding{Check: check, Severity: container.Warn, Text: fmt.Sprintf("%s: %v", l.Name, err), Remedy: remedy})
		}
		for _, p := range l.Ports {
			if !p.Listen.IsUnspecified() && !f.Answers(p.Listen) {
				out = append(out, container.Finding{Check: check, Severity: container.Warn,
					Text:   fmt.Sprintf("%s: forwardPorts: the host does not have the address %v: nothing arrives at its ports there", l.Name, p.Listen),
					Remedy: "give the host the address, or choose another hostAddress"})
			}
		}
	}
	if out == nil {
		return finding(check, container.Good, "nobody else has those of guests that run", "")
	}
	return out
}

// checkFloods looks for guests with as many connections as one may have.
func (e *Engine) checkFloods() []container.Finding {
	const check = "connections"
	guests, err := network.Flooding(e.Paths)
	if err != nil {
		return finding(check, container.Warn, err.Error(), "")
	}
	var out []container.Finding
	for _, n := range guests {
		out = append(out, container.Finding{Check: check, Severity: container.Warn,
			Text:   fmt.Sprintf("%s has been refused connections in the last minutes: it has as many open as one guest may have of those that the host can follow", n),
			Remedy: fmt.Sprintf("see what it does: berth exec %s ss -s; a larger net.netfilter.nf_conntrack_max counts when all guests' networks start anew", n)})
	}
	if out == nil {
		return finding(check, container.Good, "no guest has too many open", "")
	}
	return out
}
