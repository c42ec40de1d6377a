package declare

import "github.com/berth-containers/berth/container"

func interfaceName() codec[string] {
	return plain("the name of an interface", `^[^/:\s]{1,15}$`, container.ParseInterface).codec()
}

func interfaces() codec[[]string] {
	return listOf("a list of interface names", interfaceName(), itself[string])
}

func address(f container.Family) codec[string] {
	pattern, other := `^[0-9.]+(/[0-9]+)?$`, container.IPv6
	hint := "the keys for IPv6 end in 6: hostAddress6, localAddress6"
	if f == container.IPv6 {
		pattern, other = `^[0-9A-Fa-f:.]+(/[0-9]+)?$`, container.IPv4
		hint = "the keys for IPv4 have no 6: hostAddress, localAddress"
	}
	return plain(f.String(), pattern, func(s string) (string, error) {
		a, err := container.ParseAddress(s, f)
		if err == nil {
			return a, nil
		}
		if _, otherErr := container.ParseAddress(s, other); otherErr == nil {
			return "", hinted{err, hint}
		}
		return "", err
	}).codec()
}

func macAddress() codec[string] {
	return plain("a hardware address", `^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$`, container.ParseMAC).codec()
}

func extraVeths() codec[map[string]container.ExtraVeth] {
	type veth = container.ExtraVeth
	text := func(name string, c codec[string], at func(*veth) *string) field[veth] { return key(name, c, at) }
	pair := object("a map of keys such as hostAddress", veth{}, nil,
		text("hostBridge", interfaceName(), func(v *veth) *string { return &v.HostBridge }),
		text("hostAddress", address(container.IPv4), func(v *veth) *string { return &v.HostAddress }),
		text("localAddress", address(container.IPv4), func(v *veth) *string { return &v.LocalAddress }),
		text("hostAddress6", address(container.IPv6), func(v *veth) *string { return &v.HostAddress6 }),
		text("localAddress6", address(container.IPv6), func(v *veth) *string { return &v.LocalAddress6 }),
		text("localMacAddress", macAddress(), func(v *veth) *string { return &v.LocalMacAddress }),
		key("forwardPorts", forwardPorts(), func(v *veth) *[]container.ForwardPort { return &v.ForwardPorts }),
	)
	return mapOf[veth, map[string]veth]("a map of links by interface name", `^[^/:\s]{1,15}$`, container.ParseInterface, pair)
}
