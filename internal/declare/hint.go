package declare

import (
	"cmp"
	"errors"
	"strings"

	"github.com/agext/levenshtein"
)

// hinted is an error that knows what to do about it.
type hinted struct {
	error
	hint string
}

// hintOf is the hint of an error; "" if it has none.
func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

// nearest is the one of known that s was probably meant to be, or "".
func nearest(s string, known []string) string {
	const tooLong = 64
	if s == "" || len(s) > tooLong {
		return ""
	}
	best, distance := "", 3
	for _, k := range known {
		if strings.EqualFold(s, k) {
			return k
		}
		d := levenshtein.Distance(strings.ToLower(s), strings.ToLower(k), nil)
		if d < distance && d <= len(k)/2 {
			best, distance = k, d
		}
	}
	return best
}

// meant is the one of known that s probably stands for; "" if there is none.
func meant(s string, known []string) string { return cmp.Or(nearest(s, known), elsewhere(s, known)) }

// elsewhere is the one of known that stands for what Docker Compose calls s; ""
// if there is none.
func elsewhere(s string, known []string) string {
	for _, here := range map[string][]string{
		"services": {"containers"}, "ports": {"forwardPorts"}, "expose": {"forwardPorts"}, "volumes": {"bindMounts"}, "volume": {"bindMounts"}, "env": {"environment"},
		"restart": {"autoStart"}, "mem_limit": {"limits"}, "memory": {"memoryMax", "limits"}, "cpus": {"cpuQuota", "limits"},
		"pids": {"tasksMax", "limits"}, "pids_limit": {"limits"}, "mac_address": {"localMacAddress"}, "cap_add": {"additionalCapabilities"}, "cap_drop": {"dropCapabilities"},
		"devices": {"allowedDevices"}, "secrets": {"credentials"}, "network_mode": {"privateNetwork"}, "build": {"image"},
	}[s] {
		if indexOf(known, here) >= 0 {
			return here
		}
	}
	return ""
}

// withHint gives the problems that c finds with a value another hint, where
// hint has one for it.
func withHint[T any](c codec[T], hint func(*value) string) codec[T] {
	read := c.read
	c.read = func(r *reader, at path, v *value) (T, bool) {
		better, isText := hint(v), v.literal != nil && !c.schema.is("array") && !c.schema.is("object")
		if better == "" || isText {
			return read(r, at, v)
		}
		advised := *r
		advised.report = func(p *Problem) {
			p.Hint = better
			r.report(p)
		}
		return read(&advised, at, v)
	}
	return c
}
