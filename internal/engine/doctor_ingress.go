package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/ingress"
)

// checkIngress looks whether the process runs that answers HTTP for guests, and
// how their names fare.
func (e *Engine) checkIngress() []container.Finding {
	const check = "ingress"
	switch needed, runs := ingress.Needed(e.Paths), ingress.Runs(e.Paths); {
	case !needed:
		return finding(check, container.Good, "not needed: no guest that runs has a name for the host to answer", "")
	case !runs:
		return finding(check, container.Bad, "berth ingress does not run: nobody answers HTTP for the names of guests", "berth doctor --fix starts it")
	}
	all, err := ingress.ReadStatus(e.Paths)
	if err != nil {
		return finding(check, container.Warn, err.Error(), "")
	}
	out := ingressFindings(all)
	if out == nil {
		return finding(check, container.Good, "berth ingress runs, and nothing is wrong with any name", "")
	}
	for i := range out {
		out[i].Check = check
	}
	return out
}

// ingressFindings are what is wrong with names, each trouble once.
func ingressFindings(all ingress.Statuses) []container.Finding {
	troubled := map[string][]string{}
	var out []container.Finding
	for _, n := range slices.Sorted(maps.Keys(all)) {
		for _, i := range all[n] {
			if i.Trouble != "" {
				troubled[i.Trouble] = append(troubled[i.Trouble], i.Host)
			}
			if i.Reach == container.Unreached {
				out = append(out, container.Finding{Severity: container.Warn, Text: fmt.Sprintf("%s: the container %s does not answer at port %d: %s", i.Host, n, i.Port, i.Reason),
					Remedy: fmt.Sprintf("berth logs %s; the key ingress has the port at which the guest speaks HTTP", n)})
			}
		}
	}
	for _, trouble := range slices.Sorted(maps.Keys(troubled)) {
		out = append(out, container.Finding{Severity: container.Warn, Text: strings.Join(troubled[trouble], ", ") + ": " + trouble,
			Remedy: "berth ingress tries again by itself; berth ingress ls shows how all names fare"})
	}
	return out
}
