package engine

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
)

// deviceCauses are device nodes that a guest sees by its bind mounts and may not
// use. The kernel refuses them with "Operation not permitted", and tells nobody.
func (e *Engine) deviceCauses(s container.Spec) []container.Cause {
	_, byUnit := e.carried("allowedDevices")
	if !byUnit && !slices.Contains(e.cgroups.Controllers(), "devices") {
		return nil // nothing on this host keeps a guest from them
	}
	refused := refusedNodes(s)
	if len(refused) == 0 {
		return nil
	}
	return []container.Cause{cause(container.CauseDenied,
		fmt.Sprintf("the guest sees %s by bindMounts, and may not use it: allowedDevices does not have it", strings.Join(refused, ", ")))}
}

// refusedNodes are the device nodes among the sources of bind mounts, and in
// directories below /dev that are bound, that allowedDevices does not have. Of
// a class of devices it is not known which they are.
func refusedNodes(s container.Spec) []string {
	allowed := map[cgroup.Node]bool{}
	for _, d := range s.AllowedDevices {
		if !strings.HasPrefix(d.Node, "/") {
			return nil
		}
		if dev, ok := cgroup.NodeAt(d.Node); ok {
			allowed[dev] = true
		}
	}
	var out []string
	for _, target := range slices.Sorted(maps.Keys(s.BindMounts)) {
		for _, node := range nodesAt(s.BindMounts[target].HostPath) {
			dev, ok := cgroup.NodeAt(node)
			if ok && !allowed[dev] && !dev.Standard() && dev != cgroup.Tun() {
				out = append(out, node)
			}
		}
	}
	return slices.Compact(out)
}

// nodesAt are a path and, if it is a directory below /dev, what lies in it.
func nodesAt(path string) []string {
	entries, err := os.ReadDir(path)
	if err != nil || !strings.HasPrefix(path, "/dev/") {
		return []string{path}
	}
	var out []string
	for _, entry := range entries {
		out = append(out, filepath.Join(path, entry.Name()))
	}
	return out
}
