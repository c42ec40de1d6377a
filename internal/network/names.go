package network

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// maxInterfaceLen is IFNAMSIZ of the kernel without the terminating zero.
const maxInterfaceLen = 15

// BridgeName is the bridge of a network: that of the default network is named
// after the instance, as berth0, others as berth-NAME, or after a hash where
// that is too long or might be another instance's.
func BridgeName(paths state.Paths, name string) string {
	if name == container.DefaultNetwork {
		if paths.Root == "/" {
			return paths.Instance() + "0"
		}
		return paths.Instance()
	}
	full := "berth-" + name
	if paths.Root == "/" && len(full) <= maxInterfaceLen && !state.IsInstance(full) {
		return full
	}
	return "berth-" + digest(paths.Instance()+"/"+name, 9)
}

// hostSide names the host's side of interface i of a machine, and gives the
// full name where that is shortened.
func hostSide(machine string, i int) (name, full string) {
	name = "ve-" + machine
	if i > 0 {
		name += "_" + strconv.Itoa(i) // a machine's name has no underscore
	}
	return shortened(name)
}

// shortened is a name for an interface with a hash in the place of what is too
// much of it.
func shortened(name string) (short, full string) {
	if len(name) <= maxInterfaceLen {
		return name, ""
	}
	const hashed = 8
	return name[:maxInterfaceLen-hashed-1] + "-" + digest(name, hashed), name
}

// digest is n characters of a hash, in letters and digits.
func digest(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:n]
}
