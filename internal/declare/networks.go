package declare

import (
	"errors"
	"fmt"

	"github.com/berth-containers/berth/container"
)

// DeclaredNetwork is one network of a declaration.
type DeclaredNetwork struct {
	Name   string
	Spec   container.NetworkSpec
	Pos    Position            // of the name
	KeyPos map[string]Position // of the value of each key
}

func networkFields() []field[container.NetworkSpec] {
	type spec = container.NetworkSpec
	return []field[spec]{
		key("subnet", subnet(false), func(s *spec) *container.Subnet { return &s.Subnet }),
		key("subnet6", subnet(true), func(s *spec) *container.Subnet { return &s.Subnet6 }),
		key("isolated", boolean(), func(s *spec) *bool { return &s.Isolated }),
		key("nat", boolean(), func(s *spec) *bool { return &s.NAT }),
		key("dhcp", boolean(), func(s *spec) *bool { return &s.DHCP }),
	}
}

// NetworkKeys are the keys of a network below networks: in a declaration.
func NetworkKeys() []container.Key {
	return []container.Key{
		{Name: "subnet", Type: "IPv4 subnet or none", Effect: container.EffectRestart, Live: true,
			Doc: "The IPv4 addresses, such as 10.20.0.0/24, of which the host has the first; none for no IPv4. By default berth chooses some that are free."},
		{Name: "subnet6", Type: "IPv6 subnet or none", Effect: container.EffectRestart, Live: true, Doc: "Likewise for IPv6."},
		{Name: "isolated", Type: "boolean", Default: "false", Effect: container.EffectLive, Live: true,
			Doc: "Whether guests on other networks of berth are kept out, and those on this one in."},
		{Name: "nat", Type: "boolean", Default: "true", Effect: container.EffectLive, Live: true,
			Doc: "Whether what leaves the network has an address of the host. Without, somebody has to route the subnets to this host."},
		{Name: "dhcp", Type: "boolean", Default: "false", Effect: container.EffectLive, Live: true,
			Doc: "Whether the host also answers guests that ask for their address by DHCP."},
	}
}

func subnet(v6 bool) codec[container.Subnet] {
	what, pattern := "a subnet such as 10.20.0.0/24, or none", `^(none|[0-9.]+/[0-9]+)$`
	if v6 {
		what, pattern = "a subnet such as fd00:20::/64, or none", `^(none|[0-9A-Fa-f:.]+/[0-9]+)$`
	}
	return words[container.Subnet]{
		what: what, pattern: pattern,
		parse: func(_ *reader, s string) (container.Subnet, error) {
			p, err := container.ParseSubnet(s, v6)
			if _, other := container.ParseSubnet(s, !v6); err != nil && other == nil {
				err = hinted{err, map[bool]string{false: "the key for IPv6 is subnet6", true: "the key for IPv4 is subnet"}[v6]}
			}
			return p, err
		},
		format: container.Subnet.String,
	}.codec()
}

// networks reads the networks of a declaration.
func (p *parser) networks(d *Declaration, r *reader, all *value) {
	at := path{}.child("networks")
	if !r.expect(at, all, kindMap, "a map of networks by name") {
		return
	}
	for _, e := range all.entries {
		if _, err := container.ParseNetwork(e.key); err != nil {
			r.problem(at, e.pos, shortError(err, e.key), "")
			continue
		}
		if one, ok := p.network(r, at, e); ok {
			d.Networks = append(d.Networks, one)
		}
	}
}

func (p *parser) network(r *reader, at path, e entry) (DeclaredNetwork, bool) {
	here := path{whole: childKey(at.whole, e.key)}
	n := DeclaredNetwork{Name: e.key, Spec: container.DefaultNetworkSpec(), Pos: e.pos, KeyPos: map[string]Position{}}
	switch e.key {
	case container.NoNetwork:
		r.problem(here, e.pos, errors.New("this name stands for no network at all"), "choose another name")
		return n, false
	case container.DefaultNetwork:
		r.problem(here, e.pos, errors.New("the default network belongs to the host, not to a declaration"), "set network: in /etc/berth/berth.yaml")
		return n, false
	}
	r.keys = n.KeyPos
	if e.value.kind == kindNothing { // NAME: with nothing behind it is a network with all defaults
		return n, true
	}
	if !r.expect(here, e.value, kindMap, "a map of keys such as subnet") || !readFields(r, here, e.value, networkFields(), &n.Spec) {
		return n, false
	}
	if n.Spec.DHCP && n.Spec.Subnet.None {
		r.problem(here.child("dhcp"), n.KeyPos["dhcp"], errors.New("DHCP gives IPv4 addresses, and the network has none"), "leave out one of subnet: none and dhcp: true")
		return n, false
	}
	return n, true
}

// networkProblems are names that stand twice, and subnets that overlap.
func networkProblems(all []*Declaration) []*Problem {
	var problems []*Problem
	var seen []DeclaredNetwork
	for _, d := range all {
		for _, n := range d.Networks {
			for _, other := range seen {
				problems = append(problems, n.against(other)...)
			}
			seen = append(seen, n)
		}
	}
	return problems
}

// against are the reasons why n cannot be beside other.
func (n DeclaredNetwork) against(other DeclaredNetwork) []*Problem {
	key := childKey("networks", n.Name)
	if n.Name == other.Name {
		return []*Problem{{Pos: n.Pos, Key: key, Err: fmt.Errorf("this network is already declared at %v", other.Pos),
			Hint: "keep one of the two, or give one another name"}}
	}
	var problems []*Problem
	for _, f := range []struct {
		key          string
		mine, theirs container.Subnet
	}{{"subnet", n.Spec.Subnet, other.Spec.Subnet}, {"subnet6", n.Spec.Subnet6, other.Spec.Subnet6}} {
		if f.mine.Prefix.IsValid() && f.theirs.Prefix.IsValid() && f.mine.Prefix.Overlaps(f.theirs.Prefix) {
			problems = append(problems, &Problem{Pos: n.KeyPos[f.key], Key: key + "." + f.key, Hint: "give it addresses of its own, or leave the key out",
				Err: fmt.Errorf("%v overlaps %v of the network %s", f.mine, f.theirs, other.Name)})
		}
	}
	return problems
}

// networksSchema describes the networks of a declaration.
func networksSchema() schema {
	defaults := container.DefaultNetworkSpec()
	one := objectSchema(networkFields())
	for i, f := range networkFields() {
		sub := one.Properties[f.name]
		sub.Description = NetworkKeys()[i].Doc
		if v := f.write(&defaults); v != nil {
			sub.Default = v.json()
		}
	}
	one.Type = types("object", "null")
	name := networkName()
	return schema{Description: "Networks of berth's own, by name.", Type: types("object"), PropertyNames: &name.schema, Additional: &one}
}
