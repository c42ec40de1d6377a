package nested

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/internal/state"
)

// weight is for how many processes of this machine a host counts when there is
// more to do than processors: as many as tests run in it at a time. As one of
// many it would starve on a busy machine, and its guests not be ready in time.
const weight = 3

// weigh gives the host its weight: one process has 1024 shares in cgroup v1,
// and 100 in v2. Where there is no controller, nothing has to be done.
func (h *Host) weigh() error {
	for name, value := range map[string]int{"cpu.shares": 1024 * weight, "cpu.weight": 100 * weight} {
		for _, f := range h.control(name) {
			if err := os.WriteFile(f, fmt.Append(nil, value), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Processors is how long the host has used the processors of this machine, or
// 0 where nobody counts that.
func (h *Host) Processors() time.Duration {
	for _, f := range h.control("cpuacct.usage") {
		return time.Duration(number(f, "%d"))
	}
	for _, f := range h.control("cpu.stat") {
		return time.Duration(number(f, "usage_usec %d")) * time.Microsecond
	}
	return 0
}

// control are the files of a name of the host's control group.
func (h *Host) control(name string) []string {
	var out []string
	for _, hierarchy := range []string{"", "*"} { // of cgroup v2, and of v1
		found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", hierarchy, state.Paths{Root: h.dir}.Instance(), name))
		if err == nil { // the only error is a bad pattern
			out = append(out, found...)
		}
	}
	return out
}

// number is what a file begins with, or 0.
func number(file, format string) (n int64) {
	b, err := os.ReadFile(file)
	if _, scan := fmt.Sscanf(string(b), format, &n); errors.Join(err, scan) != nil {
		return 0
	}
	return n
}
