package systemd

import (
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/state"
)

// Units are the units of the machine's own berth, by their names, for the
// berth at program: what Install writes, and what packages bring.
func Units(program string) map[string]string {
	own := state.Paths{Root: "/"}
	return map[string]string{
		Template(own):    TemplateText(own, program),
		AutostartUnit:    AutostartText(program),
		NamesUnit(own):   NamesText(own, program),
		IngressUnit(own): IngressText(own, program),
	}
}

// packaged reports whether a package brought the unit.
func packaged(unit string) bool {
	for _, dir := range []string{"/usr/lib/systemd/system", "/lib/systemd/system"} {
		if _, err := os.Stat(filepath.Join(dir, unit)); err == nil {
			return true
		}
	}
	return false
}
