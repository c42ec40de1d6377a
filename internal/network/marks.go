package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/link"
	"github.com/berth-containers/berth/internal/state"
)

func digits(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:n]
}

// ours marks the links of a container, and those of no container where n is
// empty; see link.Mark.
func ours(paths state.Paths, n container.Name) string {
	return paths.Instance() + "/" + string(n)
}

// prefix begins an alternative name of every link of berth's on the host, by
// which network managers know it.
const prefix = "berth-link-"

// hardwareOf is an address for the host's side of a link, the same each time.
// It is a high one: a bridge that nobody has given an address takes the lowest
// of its ports.
func hardwareOf(paths state.Paths, l Lease, guest string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(ours(paths, l.Name) + "/" + guest))
	return net.HardwareAddr{0xfe, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// choose gives each link of l a name that nobody else has on the host: where a
// short one is that of another berth's link, a hash makes another.
func choose(paths state.Paths, l *Lease, host *link.Namespace) error {
	for i := range l.Links {
		k := &l.Links[i]
		if k.Kind != Bridged && k.Kind != Point {
			continue
		}
		free, err := isFree(host, k.Host)
		if err != nil {
			return err
		}
		if !free && !strings.HasPrefix(k.Host, "ve-") {
			return &container.Error{Err: fmt.Errorf("interface %s: %w", k.Host, link.ErrTaken), Hint: "ip link show " + k.Host + " tells more; give the container's another name"}
		}
		if !free {
			if k.FullName == "" {
				k.FullName = k.Host
			}
			k.Host = "ve-" + digits(ours(paths, l.Name)+"/"+k.Guest, 12)
		}
		if k.FullName != "" {
			if free, err = isFree(host, k.FullName); err != nil {
				return err
			} else if !free {
				k.FullName = "" // it is that of another link
			}
		}
	}
	return nil
}

func isFree(host *link.Namespace, name string) (bool, error) {
	_, err := host.Owner(name)
	if errors.Is(err, link.ErrNotFound) {
		return true, nil
	}
	return false, err
}
