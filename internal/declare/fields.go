package declare

import "github.com/berth-containers/berth/container"

// declaredDefaults is what a declaration starts from: a container that is
// declared is meant to run.
func declaredDefaults() container.Spec {
	s := container.DefaultSpec()
	s.AutoStart = true
	return s
}

// specFields is the table of keys, in the order of container.Keys.
func specFields() []field[container.Spec] {
	type spec = container.Spec
	text := func(c codec[string], name string, at func(*spec) *string) field[spec] { return key(name, c, at) }
	return []field[spec]{
		key("image", image(), func(s *spec) *container.ImageRef { return &s.Image }),
		text(flake(), "flake", func(s *spec) *string { return &s.Flake }),
		text(module(), "config", func(s *spec) *string { return &s.Config }),
		text(hostPath(), "configFile", func(s *spec) *string { return &s.ConfigFile }),
		text(system(), "system", func(s *spec) *string { return &s.System }),
		text(nixPath(), "nixpkgs", func(s *spec) *string { return &s.Nixpkgs }),
		text(nixPath(), "nixosPath", func(s *spec) *string { return &s.NixOSPath }),
		key("storeAccess", storeAccess(), func(s *spec) *container.StoreAccess { return &s.StoreAccess }),
		key("nixInGuest", nixInGuest(), func(s *spec) *container.NixInGuest { return &s.NixInGuest }),
		text(absolutePath("the absolute path of a directory"), "root", func(s *spec) *string { return &s.Root }),
		key("autoStart", boolean(), func(s *spec) *bool { return &s.AutoStart }),
		key("ephemeral", boolean(), func(s *spec) *bool { return &s.Ephemeral }),
		key("restartIfChanged", boolean(), func(s *spec) *bool { return &s.RestartIfChanged }),
		key("timeoutStartSec", timeSpan(), func(s *spec) *container.Duration { return &s.TimeoutStartSec }),
		key("privateUsers", privateUsers(), func(s *spec) *container.PrivateUsers { return &s.PrivateUsers }),
		key("dependsOn", listOf("a list of container names", name(), itself), func(s *spec) *[]container.Name { return &s.DependsOn }),
		key("healthCheck", maybe(healthCheck()), func(s *spec) **container.HealthCheck { return &s.HealthCheck }),
		key("healthTimeout", timeSpan(), func(s *spec) *container.Duration { return &s.HealthTimeout }),
		key("keepGenerations", wholeNumber[int](1, 10000), func(s *spec) *int { return &s.KeepGenerations }),
		key("limits", limits(), func(s *spec) *container.Limits { return &s.Limits }),
		key("labels", labels(), func(s *spec) *container.Labels { return &s.Labels }),

		key("privateNetwork", boolean(), func(s *spec) *bool { return &s.PrivateNetwork }),
		key("networks", networkNames(), func(s *spec) *[]string { return &s.Networks }),
		text(networkName(), "zone", func(s *spec) *string { return &s.Zone }),
		text(interfaceName(), "hostBridge", func(s *spec) *string { return &s.HostBridge }),
		text(address(container.IPv4), "hostAddress", func(s *spec) *string { return &s.HostAddress }),
		text(address(container.IPv4), "localAddress", func(s *spec) *string { return &s.LocalAddress }),
		text(address(container.IPv6), "hostAddress6", func(s *spec) *string { return &s.HostAddress6 }),
		text(address(container.IPv6), "localAddress6", func(s *spec) *string { return &s.LocalAddress6 }),
		text(macAddress(), "localMacAddress", func(s *spec) *string { return &s.LocalMacAddress }),
		text(absolutePath("the absolute path of a network namespace"), "networkNamespace", func(s *spec) *string { return &s.NetworkNamespace }),
		key("interfaces", interfaces(), func(s *spec) *[]string { return &s.Interfaces }),
		key("macvlans", interfaces(), func(s *spec) *[]string { return &s.Macvlans }),
		key("extraVeths", extraVeths(), func(s *spec) *map[string]container.ExtraVeth { return &s.ExtraVeths }),
		key("forwardPorts", forwardPorts(), func(s *spec) *[]container.ForwardPort { return &s.ForwardPorts }),
		key("aliases", aliases(), func(s *spec) *[]string { return &s.Aliases }),
		key("allowHost", allowHost(), func(s *spec) *[]container.HostPort { return &s.AllowHost }),
		key("ingress", ingress(), func(s *spec) *[]container.Ingress { return &s.Ingress }),

		key("bindMounts", bindMounts(), func(s *spec) *map[string]container.BindMount { return &s.BindMounts }),
		key("tmpfs", tmpfs(), func(s *spec) *[]string { return &s.Tmpfs }),
		key("allowedDevices", allowedDevices(), func(s *spec) *[]container.AllowedDevice { return &s.AllowedDevices }),
		key("additionalCapabilities", capabilities(), func(s *spec) *[]container.Capability { return &s.AdditionalCapabilities }),
		key("dropCapabilities", capabilities(), func(s *spec) *[]container.Capability { return &s.DropCapabilities }),
		key("systemCallFilter", systemCalls(), func(s *spec) *[]string { return &s.SystemCallFilter }),
		key("enableTun", boolean(), func(s *spec) *bool { return &s.EnableTun }),
		key("credentials", credentials(), func(s *spec) *[]container.Credential { return &s.Credentials }),
		key("environment", environment(), func(s *spec) *map[string]string { return &s.Environment }),
		key("extraFlags", extraFlags(), func(s *spec) *[]string { return &s.ExtraFlags }),
	}
}
