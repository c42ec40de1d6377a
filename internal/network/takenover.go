package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// Managed is a link of berth's that a network manager of the host takes for its
// own, whatever it was told; see advice.
type Managed struct {
	Link    string           // on the host
	Manager string           // NetworkManager or systemd-networkd
	Guests  []container.Name // that are behind it
}

// TakenOver asks the host's network managers, as far as they run, for links of
// guests that run and their bridges.
func TakenOver(ctx context.Context, paths state.Paths) ([]Managed, error) {
	leases, err := ReadLeases(paths)
	if err != nil {
		return nil, err
	}
	links := onHost(leases)
	if len(links) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, nil // without a bus neither of them works
	}
	defer conn.Close()
	var out []Managed
	for _, m := range managers() {
		if runs, err := onBus(ctx, conn, m.bus); err != nil {
			return out, fmt.Errorf("look for %s: %w", m.name, err)
		} else if !runs {
			continue
		}
		for _, link := range slices.Sorted(maps.Keys(links)) {
			if has, err := m.has(ctx, conn, link); err != nil {
				return out, fmt.Errorf("ask %s for %s: %w", m.name, link, err)
			} else if has {
				out = append(out, Managed{link, m.name, links[link]})
			}
		}
	}
	return out, nil
}

// manager is a network manager of the host.
type manager struct {
	name, bus string
	// has reports whether it has taken a link for its own.
	has func(ctx context.Context, conn *dbus.Conn, link string) (bool, error)
}

func managers() []manager {
	return []manager{{"NetworkManager", networkManager, hasNetworkManager}, {"systemd-networkd", networkd, hasNetworkd}}
}

// onHost are the host's sides of the links of leases, and berth's own bridges,
// with whose guests they lead to.
func onHost(leases []Lease) map[string][]container.Name {
	out := map[string][]container.Name{}
	for _, l := range leases {
		for _, k := range l.Links {
			if k.pair() {
				out[k.Host] = append(out[k.Host], l.Name)
			}
			if k.Network != "" {
				out[k.Bridge] = append(out[k.Bridge], l.Name)
			}
		}
	}
	return out
}

const networkManager = "org.freedesktop.NetworkManager"

// hasNetworkManager asks NetworkManager, whose interface has been the same since
// version 0.9.
func hasNetworkManager(ctx context.Context, conn *dbus.Conn, link string) (managed bool, err error) {
	var device dbus.ObjectPath
	err = conn.Object(networkManager, "/org/freedesktop/NetworkManager").CallWithContext(ctx, networkManager+".GetDeviceByIpIface", 0, link).Store(&device)
	if known, ok := errors.AsType[dbus.Error](err); ok && strings.HasSuffix(known.Name, ".UnknownDevice") {
		return false, nil
	} else if err != nil {
		return false, err
	}
	err = conn.Object(networkManager, device).StoreProperty(networkManager+".Device.Managed", &managed)
	return managed, err
}

// hasNetworkd reads what systemd-networkd keeps of each link; sd_network_link_get_setup_state
// does so too.
func hasNetworkd(_ context.Context, _ *dbus.Conn, link string) (bool, error) {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return false, nil // it has just gone
	}
	b, err := os.ReadFile("/run/systemd/netif/links/" + strconv.Itoa(i.Index))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for line := range strings.Lines(string(b)) {
		if state, ok := strings.CutPrefix(strings.TrimSpace(line), "ADMIN_STATE="); ok {
			return slices.Contains([]string{"configuring", "configured", "failed", "linger"}, state), nil
		}
	}
	return false, err
}
