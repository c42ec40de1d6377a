package embedded

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// A guest that says READY=1 again and again has been ready since the first time.
func TestReadyAgain(t *testing.T) {
	t.Parallel()
	const name = container.Name("web")
	var report bytes.Buffer
	h := &shim{Supervisor: &Supervisor{Paths: state.Paths{Root: t.TempDir()}}, name: name, report: &report, rec: &state.Record{Name: name, Spec: container.DefaultSpec()}}
	must(t, os.MkdirAll(h.Paths.Run(name), 0o700))
	n, err := listenNotify("")
	must(t, err)
	defer n.Close()
	guest := exec.CommandContext(t.Context(), "cat")
	alive, err := guest.StdinPipe()
	must(t, err)
	must(t, guest.Start())
	started := make(chan start, 1)
	started <- start{cmd: guest, gate: func() {}}

	ended := make(chan ending)
	go func() { ended <- h.stay(started, n) }()
	var first *status
	for range 4 { // there is room for one: with the third the first has been heard, with the fourth the second
		if n.ready <- struct{}{}; first == nil || first.State != container.Running {
			first, err = readStatus(h.statusFile(name))
			must(t, err)
		}
	}
	must(t, alive.Close())
	if e := <-ended; !e.wasReady || e.how != poweredOff || report.String() != "ready\n" {
		t.Errorf("%+v, told %q", e, report.String())
	}
	last, err := readStatus(h.statusFile(name))
	must(t, err)
	if last == nil || first == nil || !last.Since.Equal(first.Since) {
		t.Errorf("first %+v, last %+v", first, last)
	}
}
