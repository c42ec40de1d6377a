package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/plain"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/state"
)

// aftermath is how long before a container's end something counts as a likely
// cause of it.
const aftermath = time.Minute

// kernelCauses are what the kernel did to processes of the container: what its
// cgroup counts, and what the kernel's log tells, where that may be read.
func (e *Engine) kernelCauses(s container.Status, rec *state.Record) []container.Cause {
	all, _ := host.Incidents() // who may not read them does without
	own := e.incidentsOf(all, s, rec)
	out := memoryCauses(own, e.supervisor.Usage(s.Name).OOMKills, rec.Spec)
	if refused := ofKind(own, host.ForkRefused); len(refused) > 0 {
		out = append(out, cause(container.CauseTasks, fmt.Sprintf("the kernel refused further processes, the last time at %s (limits.tasksMax is %s)",
			clock(last(refused)), orNotSet(rec.Spec.Limits.TasksMax != 0, fmt.Sprint(rec.Spec.Limits.TasksMax)))))
	}
	return append(out, deniedCauses(ofKind(own, host.CallDenied, host.ProfileDenied))...)
}

// incidentsOf are those of a container since its guest was started, or shortly
// before its end.
func (e *Engine) incidentsOf(all []host.Incident, s container.Status, rec *state.Record) []host.Incident {
	since := s.Since.Add(-aftermath)
	if begun, err := process.Started(s.Leader); err == nil {
		since = begun
	} else if s.Since.IsZero() {
		return nil
	}
	group := e.supervisor.GroupPath(s.Name)
	base := launch.UIDBase(rec)
	var out []host.Incident
	for _, i := range all {
		byGroup := strings.Contains(i.Group+"/", group+"/")
		byUser := i.Group == "" && base != 0 && i.UID >= base && i.UID-base < container.IDRange
		if (byGroup || byUser) && !i.At.Before(since) {
			out = append(out, i)
		}
	}
	return out
}

func memoryCauses(own []host.Incident, counted uint64, spec container.Spec) []container.Cause {
	var out []container.Cause
	killed := ofKind(own, host.OutOfMemory)
	if counted = max(counted, uint64(len(killed))); counted > 0 {
		text := fmt.Sprintf("the kernel killed processes for want of memory: %d (limits.memoryMax is %s)", counted, memoryMax(spec))
		if len(killed) > 0 {
			text += fmt.Sprintf("; the last was %s, at %s", plain.Text(last(killed).Program), clock(last(killed)))
		}
		out = append(out, cause(container.CauseMemory, text))
	}
	if killed := ofKind(own, host.HostMemory); len(killed) > 0 {
		out = append(out, cause(container.CauseMemory, fmt.Sprintf("the host had no memory left, and the kernel killed %s, at %s", plain.Text(last(killed).Program), clock(last(killed)))))
	}
	return out
}

// deniedCauses has the last few of them.
func deniedCauses(denied []host.Incident) []container.Cause {
	if len(denied) == 0 {
		return nil
	}
	var lines []string
	for _, i := range denied[max(0, len(denied)-5):] {
		what := map[host.IncidentKind]string{host.CallDenied: "ended by a system call filter", host.ProfileDenied: "refused by AppArmor"}[i.Kind]
		lines = append(lines, fmt.Sprintf("%s: %s, %s, at %s", plain.Text(i.Program), what, plain.Text(i.Detail), clock(i)))
	}
	return []container.Cause{cause(container.CauseDenied, "the kernel refused something to its processes:", lines...)}
}

func ofKind(all []host.Incident, kinds ...host.IncidentKind) []host.Incident {
	var out []host.Incident
	for _, i := range all {
		for _, k := range kinds {
			if i.Kind == k {
				out = append(out, i)
			}
		}
	}
	return out
}

func last(all []host.Incident) host.Incident { return all[len(all)-1] }

func clock(i host.Incident) string { return i.At.Local().Format(time.DateTime) }

func memoryMax(s container.Spec) string {
	return orNotSet(s.Limits.MemoryMax != 0, s.Limits.MemoryMax.String())
}

func orNotSet(set bool, value string) string {
	if !set {
		return "not set"
	}
	return value
}
