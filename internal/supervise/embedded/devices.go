package embedded

import (
	"fmt"
	"os"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
)

// devices are the rules for what the guest may open. A node that is not there
// is found missing by the launch, which can say so better.
func devices(s container.Spec) []cgroup.Device {
	rules := cgroup.StandardDevices()
	if s.EnableTun {
		rules = append(rules, cgroup.Tun().Device("rwm"))
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
		} else if node, ok := cgroup.NodeAt(d.Node); ok {
			rules = append(rules, node.Device(modifier))
		}
	}
	return rules
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
