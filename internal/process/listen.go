package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Listens reports whether the process catches sig, keeps it for a signalfd(2),
// or waits for signals in sigwaitinfo(2), which shows in no mask. To the init
// of a PID namespace any other signal is lost.
func (p *Process) Listens(sig unix.Signal) bool {
	dir := fmt.Sprintf("/proc/%d/", p.PID)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return false // it has ended
	}
	sleepsIn, _ := os.ReadFile(dir + "wchan") // which kernels may lack
	return listens(string(status), sig) || strings.HasPrefix(string(sleepsIn), "do_sigtimedwait")
}

// listens looks at the text of a /proc/PID/status; see proc_pid_status(5).
func listens(status string, sig unix.Signal) bool {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigBlk" && name != "SigCgt" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err == nil && mask&(1<<(sig-1)) != 0 {
			return true
		}
	}
	return false
}
