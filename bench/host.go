package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/state"
)

// netHost is a host in a network of its own, with a berth that has the default
// network there. Its guests are network namespaces in which nothing runs.
type netHost struct {
	*place
	paths  state.Paths
	guests []*place
}

// The addresses of networks that are measured.
var (
	benchSubnet  = netip.MustParsePrefix("10.99.0.0/20")
	benchSubnet6 = netip.MustParsePrefix("fd99::/64")
)

// newHost makes a host without guests. The berth there has files of its own
// for the host's names and resolvers.
func (l *lab) newHost(ctx context.Context, name string) (_ *netHost, err error) {
	h := &netHost{paths: state.Paths{Root: l.path(name)}}
	n := network.Network{Name: container.DefaultNetwork, Bridge: "bench0", Subnet: benchSubnet, Subnet6: benchSubnet6, NAT: true}
	if err := errors.Join(ownNames(h.paths), network.WriteNetwork(h.paths, n)); err != nil {
		return nil, err
	}
	h.place, err = newPlace(ctx)
	return h, err
}

// ownNames gives a berth its own hosts(5) and resolv.conf(5), so that those of
// the machine stay as they are.
func ownNames(paths state.Paths) error {
	etc := filepath.Join(paths.Root, "etc")
	return errors.Join(os.MkdirAll(etc, 0o755),
		os.WriteFile(filepath.Join(etc, "hosts"), []byte("127.0.0.1 localhost\n"), 0o644),
		os.WriteFile(filepath.Join(etc, "resolv.conf"), nil, 0o644))
}

// close takes the guests down, and with the last all that berth has there.
func (h *netHost) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	err := h.do(func() error {
		leased, err := network.Leased(h.paths)
		for _, n := range leased {
			err = errors.Join(err, network.Detach(ctx, h.paths, n))
		}
		return err
	})
	return errors.Join(err, closePlaces(h.guests), h.place.close())
}

// address is that of the i-th guest, with the length of its subnet.
func address(subnet netip.Prefix, i int) netip.Prefix {
	a := subnet.Addr().Next() // the host's
	for range i + 1 {
		a = a.Next()
	}
	return netip.PrefixFrom(a, subnet.Bits())
}

// lease is what the i-th guest has of the network.
func lease(i int, ports ...network.Port) network.Lease {
	name := fmt.Sprintf("guest%d", i)
	four, six := address(benchSubnet, i), address(benchSubnet6, i)
	for k := range ports {
		ports[k].Guest = []netip.Addr{four.Addr(), six.Addr()}
	}
	gateways := []netip.Addr{benchSubnet.Addr().Next(), benchSubnet6.Addr().Next()}
	return network.Lease{Name: container.Name(name), Machine: name, Ports: ports, Links: []network.Link{{
		Kind: network.Bridged, Host: "ve-" + name, Guest: "eth0", Bridge: "bench0", Network: container.DefaultNetwork,
		MAC: network.MAC(fmt.Sprintf("02:99:00:00:%02x:%02x", i>>8, i&0xff)), Addresses: []netip.Prefix{four, six},
		Gateways: gateways, Resolvers: gateways,
	}}}
}

// attach gives the host one more guest.
func (h *netHost) attach(ctx context.Context, l network.Lease) (*place, error) {
	guest, err := newPlace(ctx)
	if err != nil {
		return nil, err
	}
	h.guests = append(h.guests, guest)
	return guest, h.do(func() error { return network.Attach(ctx, h.paths, l, guest.file) })
}
