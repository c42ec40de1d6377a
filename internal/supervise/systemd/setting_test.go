package systemd

import (
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestCarries holds what is said of a key to what its unit has.
func TestCarries(t *testing.T) {
	t.Parallel()
	rec := &state.Record{Name: "web", Spec: container.DefaultSpec()}
	rec.Spec.Limits = container.Limits{MemoryMax: 1, CPUQuota: 1, TasksMax: 1, IOWeight: 1}
	rec.Spec.AllowedDevices = []container.AllowedDevice{{Node: "/dev/null"}}
	rec.Spec.Credentials = []container.Credential{{ID: "a", Path: "/a"}, {ID: "b", Path: "/b", Encrypted: true}}
	rec.Spec.TimeoutStartSec = container.Duration(time.Second)
	unit := DropInText(state.Paths{Root: "/"}, rec)
	for _, key := range []string{"limits", "allowedDevices", "credentials", "timeoutStartSec"} {
		c, ok := (&Supervisor{}).Carries(key)
		if !ok || c.Since == 0 {
			t.Errorf("%s: %+v, %v", key, c, ok)
		}
		for word := range strings.FieldsFuncSeq(c.By, func(r rune) bool { return r == ' ' || r == ',' }) {
			if strings.HasSuffix(word, "=") && !strings.Contains(unit, "\n"+word) {
				t.Errorf("%s: no %s in\n%s", key, word, unit)
			}
		}
	}
	if _, ok := (&Supervisor{}).Carries("labels"); ok {
		t.Error("systemd has nothing for labels")
	}
}
