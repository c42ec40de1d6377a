package engine

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
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
	allowed := map[device]bool{}
	for _, d := range s.AllowedDevices {
		if !strings.HasPrefix(d.Node, "/") {
			return nil
		}
		if dev, ok := deviceAt(d.Node); ok {
			allowed[dev] = true
		}
	}
	var out []string
	for _, target := range slices.Sorted(maps.Keys(s.BindMounts)) {
		for _, node := range nodesAt(s.BindMounts[target].HostPath) {
			dev, ok := deviceAt(node)
			if ok && !allowed[dev] && !dev.standard() {
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

// device is what the kernel knows a node by.
type device struct {
	char         bool
	major, minor uint32
}

func deviceAt(path string) (device, bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&fs.ModeDevice == 0 {
		return device{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return device{}, false
	}
	return device{info.Mode()&fs.ModeCharDevice != 0, unix.Major(st.Rdev), unix.Minor(st.Rdev)}, true
}

// standard reports whether guests may use it without allowedDevices: null, zero,
// full, random, urandom, tty, console, ptmx, terminals and, with enableTun,
// /dev/net/tun.
func (d device) standard() bool {
	if !d.char {
		return false
	}
	switch d.major {
	case 1:
		return slices.Contains([]uint32{3, 5, 7, 8, 9}, d.minor)
	case 5:
		return d.minor <= 2
	case 10:
		return d.minor == 200
	}
	return d.major >= 136 && d.major <= 143
}
