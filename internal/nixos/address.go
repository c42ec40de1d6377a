package nixos

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/state"
)

// Taken are the addresses that the files of containers name. A file that
// cannot be read names none.
func Taken(p state.Paths) map[netip.Addr]bool {
	taken := map[netip.Addr]bool{}
	for _, d := range kept(p) {
		files, _ := filepath.Glob(filepath.Join(d.conf, "*.conf"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			all, _ := conf.Parse(text)
			for _, key := range []string{conf.HostAddress, conf.LocalAddress} {
				if a, ok := Address(conf.Get(all, key)); ok {
					taken[a] = true
				}
			}
		}
	}
	return taken
}

// Address reads one, with or without prefix length.
func Address(s string) (netip.Addr, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr(), true
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// FreePair is a pair of addresses, for the host and for a guest opposite, of
// which free says that both are nobody's: 10.233.1.1 and .2, 10.233.2.1 and .2
// and so on, as nixos-container has it, and when these are all taken the next
// ones, 10.233.1.3 and .4.
func FreePair(free func(host, local netip.Addr) bool) (host, local netip.Addr, err error) {
	for last := 1; last < 255; last += 2 {
		for net := 1; net < 255; net++ {
			host, local = netip.AddrFrom4([4]byte{10, 233, byte(net), byte(last)}), netip.AddrFrom4([4]byte{10, 233, byte(net), byte(last + 1)})
			if free(host, local) {
				return host, local, nil
			}
		}
	}
	return host, local, &container.Error{Err: errors.New("out of IP addresses: all of 10.233.0.0/16 are taken"), Hint: "give some with --host-address and --local-address"}
}
