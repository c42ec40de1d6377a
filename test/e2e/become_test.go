//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/berth-containers/berth/internal/preinit"
)

// TestBecomesInit: a guest's first process is alive to all who look while it
// becomes the guest's init, which it would not be where another thread than its
// first did that.
func TestBecomesInit(t *testing.T) {
	t.Parallel()
	for range 60 {
		becomesInit(t)
	}
}

func becomesInit(t *testing.T) {
	cmd := exec.Command(os.Getenv(binaryVariable), preinit.Task{Gateless: true, Init: []string{"/bin/sleep", "60"}}.Args()[1:]...)
	must(t, cmd.Start())
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	for became := false; !became; {
		_, err := os.Readlink(proc + "root")
		must(t, err)
		line, err := os.ReadFile(proc + "cmdline")
		must(t, err)
		became = bytes.HasPrefix(line, []byte("/bin/sleep"))
	}
}
