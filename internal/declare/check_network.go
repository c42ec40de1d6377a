package declare

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// network reports what does not go together in the network of one guest: no
// key is without effect.
func (c checker) network(s container.Spec) {
	if s.NetworkNamespace != "" && s.PrivateNetwork {
		c.problem("networkNamespace", "", "a guest with privateNetwork cannot join another network namespace: keep one of the two keys")
	}
	if !s.PrivateNetwork {
		c.notPrivate(s)
		return
	}
	if slices.Contains(s.Networks, container.NoNetwork) {
		c.loopbackOnly(s)
		return
	}
	c.first(s)
	c.addresses(s)
	c.links(s)
	c.services(s)
	c.forwards(s)
}

// privateKeys mean something only where the guest has a network of its own.
func privateKeys() []string {
	return []string{"networks", "zone", "hostBridge", "hostAddress", "localAddress", "hostAddress6", "localAddress6",
		"localMacAddress", "interfaces", "macvlans", "extraVeths", "forwardPorts", "aliases", "allowHost", "ingress"}
}

func (c checker) notPrivate(s container.Spec) {
	for _, key := range privateKeys() {
		switch {
		case c.given(key) && s.NetworkNamespace != "":
			c.problem(key, "leave it out", "the guest has the network of networkNamespace, which berth does not set up")
		case c.given(key):
			c.problem(key, "add privateNetwork: true", "this needs a network of the guest's own, and the guest has the host's")
		}
	}
}

// loopbackOnly is for networks: [none].
func (c checker) loopbackOnly(s container.Spec) {
	if len(s.Networks) > 1 {
		c.problem("networks", "keep none alone, or leave it out", "none stands for no network at all, and there are others in the list")
	}
	for _, key := range privateKeys() {
		if key != "networks" && c.given(key) {
			c.problem(key, "leave one of the two out", "networks: [none] gives the guest a loopback interface alone")
		}
	}
}

// first is about the guest's first interface: it is one thing.
func (c checker) first(s container.Spec) {
	if s.HostBridge != "" && s.Zone != "" {
		c.problem("zone", "keep one of the two; networks puts the guest on further networks", "the guest's first interface joins hostBridge, and cannot join a zone as well")
	}
	if s.Zone != "" && slices.Contains(s.Networks, s.Zone) {
		c.problem("zone", "keep one of the two", "%s is in networks too", s.Zone)
	}
	for _, key := range []string{"hostAddress", "hostAddress6"} {
		if s.Zone != "" && c.given(key) {
			c.problem(key, "leave it out; a network's subnet is set below networks: in the declaration", "the host's address in a zone is the zone's own")
		}
	}
	if c.given("localMacAddress") && !s.HasFirst() {
		c.problem("localMacAddress", "", "this is for the guest's first interface, eth0, and it has none but macvlans, interfaces or extraVeths")
	}
}

// addresses is about the pairs of addresses.
func (c checker) addresses(s container.Spec) {
	opposite := s.Zone == "" && s.HostBridge == ""
	own := s.Zone != "" || len(s.Networks) > 0 && s.HostAddress == "" && s.HostAddress6 == ""
	c.pair("hostAddress", s.HostAddress, "localAddress", s.LocalAddress, opposite && !own)
	c.pair("hostAddress6", s.HostAddress6, "localAddress6", s.LocalAddress6, opposite && !own)
	for _, name := range slices.Sorted(maps.Keys(s.ExtraVeths)) {
		v, at := s.ExtraVeths[name], "extraVeths."+name+"."
		c.pair(at+"hostAddress", v.HostAddress, at+"localAddress", v.LocalAddress, v.HostBridge == "")
		c.pair(at+"hostAddress6", v.HostAddress6, at+"localAddress6", v.LocalAddress6, v.HostBridge == "")
	}
}

// pair checks the two ends of a link in one family. With both, neither is of
// use without the other.
func (c checker) pair(hostKey, host, localKey, local string, both bool) {
	last := func(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }
	missing := func(key, value string) bool { // one that is there but not well is told of already
		_, there := c.r.keys[key]
		return value == "" && !there
	}
	bare := func(address string) string { return strings.Split(address, "/")[0] }
	switch {
	case host != "" && missing(localKey, local):
		c.problem(hostKey, "add "+last(localKey), "the guest has no address opposite: %s is missing", last(localKey))
	case local != "" && both && missing(hostKey, host) && last(localKey) == localKey:
		c.problem(localKey, "add "+last(hostKey)+" for a link of the two alone, or zone, networks or hostBridge", "nothing says what link this address is on")
	case local != "" && both && missing(hostKey, host):
		c.problem(localKey, "add "+last(hostKey)+" or hostBridge", "nothing is opposite this address: %s is missing", last(hostKey))
	case host != "" && bare(host) == bare(local):
		c.problem(localKey, "", "the guest cannot have the same address as the host")
	}
}

// links is about the names that interfaces have in the guest, and of what is
// taken from the host.
func (c checker) links(s container.Spec) {
	taken := map[string]string{"lo": "the guest's loopback interface"}
	for _, name := range s.EthernetNames() {
		taken[name] = "the name of another of the guest's interfaces"
	}
	for _, name := range slices.Sorted(maps.Keys(s.ExtraVeths)) {
		if what, ok := taken[name]; ok {
			c.problem("extraVeths."+name, "choose another name", "%s is %s", name, what)
		}
		taken[name] = "in extraVeths too"
	}
	for i, name := range s.Macvlans {
		if what, ok := taken["mv-"+name]; ok {
			c.problem(indexKey("macvlans", i), "choose another name there", "its name in the guest, mv-%s, is %s", name, what)
		}
		taken["mv-"+name] = "the name of a macvlan"
	}
	for i, name := range s.Interfaces {
		if name == "lo" {
			c.problem(indexKey("interfaces", i), "leave it out", "the host's loopback interface stays there, and the guest has its own")
		} else if what, ok := taken[name]; ok {
			c.problem(indexKey("interfaces", i), "rename it on the host", "%s is %s", name, what)
		}
		if slices.Contains(s.Macvlans, name) {
			c.problem(indexKey("interfaces", i), "keep one of the two", "%s is in macvlans too, and leaves the host", name)
		}
		if name == s.HostBridge {
			c.problem(indexKey("interfaces", i), "keep one of the two", "%s is hostBridge too, and leaves the host", name)
		}
	}
}

// services are the keys that need an address of the guest that berth knows, or
// something to guard.
func (c checker) services(s container.Spec) {
	for _, key := range []string{"forwardPorts", "aliases", "ingress"} {
		if c.given(key) && !s.HasAddress() {
			c.problem(key, "add localAddress, zone or networks", "berth knows no address of the guest that could answer")
		}
	}
	if c.given("allowHost") && !s.Guarded() {
		c.problem("allowHost", "leave it out", "no link of the guest is berth's alone, and on others berth closes no port of the host")
	}
	for _, name := range slices.Sorted(maps.Keys(s.ExtraVeths)) {
		v := s.ExtraVeths[name]
		if len(v.ForwardPorts) > 0 && v.LocalAddress == "" && v.LocalAddress6 == "" {
			c.problem("extraVeths."+name+".forwardPorts", "add localAddress", "the guest has no address on this link that could answer")
		}
	}
}

// forward is a port forward and where it stands.
type forward struct {
	key string
	container.ForwardPort
}

// forwards reports ports that are forwarded twice.
func (c checker) forwards(s container.Spec) {
	var all []forward
	for i, f := range s.ForwardPorts {
		all = append(all, forward{indexKey("forwardPorts", i), f})
	}
	for _, name := range slices.Sorted(maps.Keys(s.ExtraVeths)) {
		for i, f := range s.ExtraVeths[name].ForwardPorts {
			all = append(all, forward{indexKey("extraVeths."+name+".forwardPorts", i), f})
		}
	}
	for i, f := range all {
		for _, g := range all[:i] {
			same := f.Protocol == g.Protocol && f.HostAddress == g.HostAddress && f.HostPort.Overlaps(g.HostPort)
			if list, _, _ := strings.Cut(f.key, "["); same && (f.HostPort != g.HostPort || !strings.HasPrefix(g.key, list+"[")) {
				c.problem(f.key, "keep one of the two", "%s: %s has some of them too", describeForward(f.ForwardPort), g.key)
			}
		}
	}
	c.listeners(s)
	c.besideIngress(s, all)
}

// besideIngress reports ports that come before the host's own, at which it is to
// answer for names. Those of one address leave it the others.
func (c checker) besideIngress(s container.Spec, all []forward) {
	for _, f := range all {
		for _, port := range []uint16{container.IngressHTTP, container.IngressHTTPS} {
			if len(s.Ingress) > 0 && f.Protocol == "tcp" && f.HostAddress == "" && f.HostPort.Overlaps(container.Port(port)) {
				c.problem(f.key, "choose another hostPort, or leave out ingress", "at tcp port %d the host answers for the names of ingress", port)
			}
		}
	}
}

// listeners reports addresses to listen on for which the guest has none of the
// same family. Where berth chooses the guest's addresses, that is seen later.
func (c checker) listeners(s container.Spec) {
	chosen := s.Zone != "" || len(s.Networks) > 0 || s.OnDefault()
	check := func(key string, f container.ForwardPort, local, local6 string) {
		a, err := netip.ParseAddr(f.HostAddress)
		if err != nil || a.Is6() && local6 != "" || a.Is4() && local != "" {
			return
		}
		family := map[bool]string{true: "IPv6", false: "IPv4"}[a.Is6()]
		c.problem(key+".hostAddress", "", "what arrives there is %s, and the guest has no %s address that could answer", family, family)
	}
	for i, f := range s.ForwardPorts {
		if !chosen && s.HasAddress() {
			check(indexKey("forwardPorts", i), f, s.LocalAddress, s.LocalAddress6)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.ExtraVeths)) {
		v := s.ExtraVeths[name]
		for i, f := range v.ForwardPorts {
			check(indexKey("extraVeths."+name+".forwardPorts", i), f, v.LocalAddress, v.LocalAddress6)
		}
	}
}
