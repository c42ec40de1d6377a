package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// bootLines is how many lines of the console are looked at for those of a boot.
const bootLines = 500

// unfinishedUnits are those that a guest's systemd was still starting when the
// time was over, as its console tells: nothing else of such a guest is left.
func (e *Engine) unfinishedUnits(ctx context.Context, s container.Status) []container.Cause {
	if s.State != container.Failed || !strings.HasPrefix(s.Reason, container.ErrNotReady.Error()) {
		return nil
	}
	var lines []string
	err := e.supervisor.Console(ctx, s.Name, bootLines, func(_ time.Time, line []byte) { lines = append(lines, plain.Text(string(line))) }, nil)
	units := unfinished(lines)
	if err != nil || len(units) == 0 {
		return nil
	}
	return []container.Cause{cause(container.CauseJobs, "it was still starting these units of the guest:", units...)}
}

// unfinished are the units that the last boot on a console began to start, and
// did not end.
func unfinished(console []string) []string {
	var out []string
	for _, line := range console {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "systemd ") && strings.Contains(line, " running in system mode") {
			out = nil
		}
		if unit, ok := strings.CutPrefix(line, "Starting "); ok && strings.HasSuffix(unit, "...") {
			out = append(out, strings.TrimSuffix(unit, "..."))
			continue
		}
		_, line, _ = strings.Cut(line, "] ")
		for _, word := range []string{"Started ", "Finished ", "Failed to start ", "Listening on ", "Mounted "} {
			if unit, ok := strings.CutPrefix(strings.TrimSpace(line), word); ok {
				unit = strings.TrimSuffix(unit, ".")
				out = slices.DeleteFunc(out, func(u string) bool { return sameUnit(u, unit) })
			}
		}
	}
	return out
}

// sameUnit reports whether two names of units may be of the same one: systemd
// leaves out the middle of those that are too long for a line.
func sameUnit(a, b string) bool {
	const gap = "…"
	a1, a2, aCut := strings.Cut(a, gap)
	b1, b2, bCut := strings.Cut(b, gap)
	switch {
	case aCut && bCut:
		return (strings.HasPrefix(a1, b1) || strings.HasPrefix(b1, a1)) && (strings.HasSuffix(a2, b2) || strings.HasSuffix(b2, a2))
	case aCut:
		return strings.HasPrefix(b, a1) && strings.HasSuffix(b, a2)
	case bCut:
		return strings.HasPrefix(a, b1) && strings.HasSuffix(a, b2)
	}
	return a == b
}
