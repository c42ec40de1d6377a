package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/state"
)

// TestIncidentsOf takes a container's own from the kernel's log.
func TestIncidentsOf(t *testing.T) {
	t.Parallel()
	e := engineOn(t, "6.1.0", "")
	rec := &state.Record{Name: "web", UIDBase: 1 << 20, Spec: container.DefaultSpec()}
	end := time.Now()
	group := "/outer/" + e.Paths.Instance() + "/web"
	in := func(ago time.Duration, kind host.IncidentKind, group string, uid uint32) host.Incident {
		return host.Incident{At: end.Add(-ago), Kind: kind, Group: group, UID: uid, Program: "tail"}
	}
	all := []host.Incident{
		in(time.Hour, host.OutOfMemory, group+"/guest", 0), // another run's
		in(time.Second, host.OutOfMemory, group+"/guest/x", 0),
		in(time.Second, host.OutOfMemory, group+"2/guest", 0), // another container's
		in(time.Second, host.CallDenied, "", 1<<20+1000),
		in(time.Second, host.CallDenied, "", 1<<20+1<<16),
		in(time.Second, host.CallDenied, "", 0),
		in(time.Second, host.ForkRefused, group+"/guest", 0),
	}
	got := e.incidentsOf(all, container.Status{Name: "web", State: container.Failed, Since: end}, rec)
	if diff := cmp.Diff([]host.Incident{all[1], all[3], all[6]}, got); diff != "" {
		t.Error(diff)
	}
	if got := e.incidentsOf(all, container.Status{Name: "web", State: container.Stopped}, rec); len(got) > 0 {
		t.Errorf("of a container that did not run: %v", got)
	}
}

func TestMemoryCauses(t *testing.T) {
	t.Parallel()
	spec := container.DefaultSpec()
	spec.Limits.MemoryMax = 128 << 20
	kill := host.Incident{At: time.Now(), Kind: host.OutOfMemory, Program: "ta\x1b[31mil"}
	whole := host.Incident{At: time.Now(), Kind: host.HostMemory, Program: "java"}
	if got := memoryCauses(nil, 0, spec); len(got) > 0 {
		t.Errorf("nothing was killed: %v", got)
	}
	got := memoryCauses([]host.Incident{kill}, 3, spec)
	if len(got) != 1 || got[0].Kind != container.CauseMemory || !strings.Contains(got[0].Text, "want of memory: 3 (limits.memoryMax is 128M); the last was tail, at") {
		t.Errorf("got %+v", got)
	}
	if got := memoryCauses([]host.Incident{whole}, 0, spec); len(got) != 1 || !strings.Contains(got[0].Text, "the host had no memory left, and the kernel killed java") {
		t.Errorf("got %+v", got)
	}
}

// TestRank puts every kind in its place.
func TestRank(t *testing.T) {
	t.Parallel()
	for _, k := range []container.CauseKind{container.CauseUpdate, container.CauseStart, container.CauseMemory, container.CauseTasks, container.CauseEnd, container.CauseNspawn,
		container.CauseDenied, container.CauseUnits, container.CauseLost, container.CausePending, container.CauseConsole} {
		if rank(k) < 0 {
			t.Errorf("%s has no rank", k)
		}
	}
	if rank(container.CauseStart) > rank(container.CauseEnd) || rank(container.CauseEnd) > rank(container.CauseConsole) {
		t.Error("the order is wrong")
	}
}
