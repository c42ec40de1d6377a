package engine

import (
	"fmt"
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
