package systemd

import "testing"

func TestUpToDate(t *testing.T) {
	t.Parallel()
	const ours = "/run/systemd/system/berth@web.service.d/50-berth.conf"
	others := "/etc/systemd/system/berth@.service.d/local.conf"
	for name, c := range map[string]struct {
		state  string
		stale  any
		read   any
		wanted []string
		want   bool
	}{
		"just read":                    {"loaded", false, []string{others, ours}, []string{ours}, true},
		"without drop-ins":             {"loaded", false, []string{}, nil, true},
		"older than its files":         {"loaded", true, []string{ours}, []string{ours}, false},
		"first drop-in missing":        {"loaded", false, []string{others}, []string{ours}, false},
		"template missing":             {"not-found", false, []string{ours}, []string{ours}, false},
		"a systemd that does not tell": {"loaded", nil, nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			props := map[string]any{"LoadState": c.state, "NeedDaemonReload": c.stale, "DropInPaths": c.read}
			if got := upToDate(props, c.wanted); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}
