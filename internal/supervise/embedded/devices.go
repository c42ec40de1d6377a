package embedded

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
)

// devices are the rules for what the guest may open. A node that is not there
// is found missing by the launch, which can say so better.
func devices(s container.Spec) []cgroup.Device {
	rules := cgroup.StandardDevices()
	if s.EnableTun {
		rules = append(rules, "c 10:200 rwm")
	}
	for _, d := range s.AllowedDevices {
		modifier := d.Modifier
		if modifier == "" {
			modifier = "rwm"
		}
		if class, ok := strings.CutPrefix(d.Node, "char-"); ok {
			rules = append(rules, classRules(class, "c", modifier)...)
		} else if class, ok := strings.CutPrefix(d.Node, "block-"); ok {
			rules = append(rules, classRules(class, "b", modifier)...)
		} else if r, ok := nodeRule(d.Node, modifier); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

func nodeRule(node, modifier string) (cgroup.Device, bool) {
	info, err := os.Stat(node)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return "", false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	kind := "b"
	if info.Mode()&os.ModeCharDevice != 0 {
		kind = "c"
	}
	return cgroup.Device(fmt.Sprintf("%s %d:%d %s", kind, unix.Major(st.Rdev), unix.Minor(st.Rdev), modifier)), true
}

// classRules are for every device of a class in /proc/devices.
func classRules(class, kind, modifier string) []cgroup.Device {
	b, err := os.ReadFile("/proc/devices")
	if err != nil {
		return nil
	}
	section := ""
	var rules []cgroup.Device
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[1] == "devices:":
			section = strings.ToLower(f[0][:1])
		case len(f) == 2 && f[1] == class && section == kind:
			rules = append(rules, cgroup.Device(fmt.Sprintf("%s %s:* %s", kind, f[0], modifier)))
		}
	}
	return rules
}
