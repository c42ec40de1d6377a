package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/nixos"
)

// Address is the guest's address: the one that its file names, IPv4 first, and
// otherwise one that it has now.
func (x Nixos) Address(ctx context.Context, n container.Name) (netip.Addr, error) {
	place, err := x.find(n)
	if err != nil {
		return netip.Addr{}, err
	}
	known, err := x.addresses(place)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, text := range known {
		if a, ok := nixos.Address(text); ok {
			return a, nil
		}
	}
	o, err := x.observe(ctx, n)
	if err != nil {
		return netip.Addr{}, err
	}
	if o.Leader == 0 {
		return netip.Addr{}, &container.Error{Subject: string(n), Err: errors.New("cannot get IP address: its file names none, and it does not run")}
	}
	a, err := addressIn(o.Leader)
	if err != nil {
		return a, &container.Error{Subject: string(n), Err: fmt.Errorf("cannot get IP address: %w", err)}
	}
	return a, nil
}

// addresses are those that a container is declared with; some may be empty.
func (x Nixos) addresses(place nixos.Place) ([]string, error) {
	if rec, ok := x.other(place.Name); ok {
		return []string{rec.Spec.LocalAddress, rec.Spec.LocalAddress6}, nil
	}
	all, err := place.Read()
	return []string{conf.Get(all, conf.LocalAddress), conf.Get(all, conf.LocalAddress6)}, err
}

// addressIn is an address in the network namespace of a process: of its first
// interface, IPv4 first, and of this machine's own network none.
func addressIn(pid int) (netip.Addr, error) {
	file := fmt.Sprintf("/proc/%d/ns/net", pid)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return netip.Addr{}, err
	}
	if theirs, err := os.Readlink(file); err != nil || theirs == own {
		return netip.Addr{}, errors.Join(err, errors.New("it has the host's network"))
	}
	type answer struct {
		addresses map[netip.Addr]string
		err       error
	}
	got := make(chan answer)
	go func() {
		runtime.LockOSThread() // which ends with it, being in another namespace
		var a answer
		if a.err = namespace.EnterNetwork(file); a.err == nil {
			a.addresses, a.err = addresses()
		}
		got <- a
	}()
	a := <-got
	if a.err != nil {
		return netip.Addr{}, a.err
	}
	return firstAddress(a.addresses)
}

func addresses() (map[netip.Addr]string, error) {
	m, err := survey.Open()
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return m.Addresses()
}

// firstAddress is the one of those of a guest, by interface, that others reach
// it at.
func firstAddress(all map[netip.Addr]string) (netip.Addr, error) {
	var found []netip.Addr
	for a := range all {
		if a.IsGlobalUnicast() {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return netip.Addr{}, errors.New("it has none yet")
	}
	return slices.MinFunc(found, func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(a.BitLen(), b.BitLen()), cmp.Compare(all[a], all[b]), a.Compare(b))
	}), nil
}

// ErrNoHostKey says that a guest has made no key for SSH yet.
var ErrNoHostKey = errors.New("it has no SSH host key")

// HostKey is the public key by which the guest's SSH is known, as its file has
// it. The file belongs to the guest: a link out of its root is not followed.
func (x Nixos) HostKey(n container.Name) ([]byte, error) {
	place, err := x.find(n)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"etc/ssh/ssh_host_ed25519_key.pub", "etc/ssh/ssh_host_ecdsa_key.pub"} {
		if key, err := place.ReadGuestFile(name); err == nil {
			return key, nil
		}
	}
	return nil, ErrNoHostKey
}
