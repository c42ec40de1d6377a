package container

import "strconv"

// OnDefault reports whether the guest is on the default network because
// nothing says where else.
func (s Spec) OnDefault() bool {
	return s.PrivateNetwork && len(s.Networks) == 0 && !s.hasFirst() &&
		len(s.Interfaces)+len(s.Macvlans)+len(s.ExtraVeths) == 0
}

// hasFirst reports whether a key says what the first interface is beside
// networks.
func (s Spec) hasFirst() bool { return s.Zone != "" || s.HostBridge != "" || s.Opposite() }

// Opposite reports whether the guest's first interface is a link of host and
// guest alone.
func (s Spec) Opposite() bool {
	return s.HostBridge == "" && (s.HostAddress != "" || s.HostAddress6 != "")
}

// BerthNetworks are the networks of berth's own that the guest is on, in the
// order of its interfaces; the zone comes first.
func (s Spec) BerthNetworks() []string {
	switch {
	case !s.PrivateNetwork || len(s.Networks) == 1 && s.Networks[0] == NoNetwork:
		return nil
	case s.OnDefault():
		return []string{DefaultNetwork}
	case s.Zone != "":
		return append([]string{s.Zone}, s.Networks...)
	}
	return s.Networks
}

// HasFirst reports whether the guest has an interface eth0.
func (s Spec) HasFirst() bool {
	return s.PrivateNetwork && s.hasFirst() || len(s.BerthNetworks()) > 0
}

// EthernetNames are the names of the interfaces in the guest that berth
// numbers: eth0 is that of hostBridge, or opposite hostAddress, or of zone;
// then follow those of networks, in their order.
func (s Spec) EthernetNames() []string {
	n := len(s.BerthNetworks())
	if s.PrivateNetwork && (s.HostBridge != "" || s.Opposite()) {
		n++
	}
	var out []string
	for i := range n {
		out = append(out, "eth"+strconv.Itoa(i))
	}
	return out
}

// HasAddress reports whether berth knows an address of the guest on one of
// EthernetNames.
func (s Spec) HasAddress() bool {
	return s.PrivateNetwork && (s.LocalAddress != "" || s.LocalAddress6 != "") || len(s.BerthNetworks()) > 0
}

// Guarded reports whether the guest has a link that nobody but berth makes, so
// that berth says which ports of the host it reaches there.
func (s Spec) Guarded() bool {
	if !s.PrivateNetwork {
		return false
	}
	for _, v := range s.ExtraVeths {
		if v.HostBridge == "" {
			return true
		}
	}
	return s.Opposite() || len(s.BerthNetworks()) > 0
}
