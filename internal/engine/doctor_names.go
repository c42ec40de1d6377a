package engine

import (
	"fmt"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/names"
)

// checkNames looks whether the process runs that guests' networks need.
func (e *Engine) checkNames() []container.Finding {
	const check = "names"
	switch needed, runs := names.Needed(e.Paths), names.Runs(e.Paths); {
	case !needed:
		return finding(check, container.Good, "not needed: no guest that runs has a network of its own", "")
	case !runs:
		return finding(check, container.Bad, "berth names does not run: guests find no names, and ports of [::1] answer nothing",
			"berth doctor --fix starts it")
	}
	st, err := names.ReadStatus(e.Paths)
	if err != nil {
		return finding(check, container.Warn, err.Error(), "")
	}
	if len(st.Problems) == 0 {
		return finding(check, container.Good, fmt.Sprintf("berth names runs, PID %d", st.PID), "")
	}
	var out []container.Finding
	for _, p := range st.Problems {
		out = append(out, container.Finding{Check: check, Severity: container.Warn, Text: p, Remedy: "berth names tries again each second"})
	}
	return out
}
