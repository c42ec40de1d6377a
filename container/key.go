package container

// Key is one key of a Spec: the single list that the parser, the JSON Schema,
// the reference manual and the planner read.
type Key struct {
	Name    string // as in a declaration and as the JSON name in Spec
	Type    string // for people: "boolean", "list of absolute paths"
	Default string // as it would be written in YAML; empty: unset
	Effect  Effect // of a change, on a running guest
	Live    bool   // berth can carry it out; otherwise apply refuses it
	Doc     string // one or two sentences
}

// Keys are all keys of a Spec in the order of the reference manual.
func Keys() []Key {
	return []Key{
		{"image", "dir:/PATH, tar:/PATH or debian:SUITE", "", EffectRecreate, true,
			"The root file system that the guest starts from. It is read-only and shared; what the guest changes is kept apart."},
		{"flake", "flake reference REF#ATTR", "", EffectSwitch, false, "A flake whose attribute is a NixOS system."},
		{"config", "inline NixOS module", "", EffectSwitch, false, "A NixOS module as text."},
		{"configFile", "path", "", EffectSwitch, false, "A file with a NixOS module."},
		{"system", "store path", "", EffectSwitch, false, "A NixOS system that is already built."},
		{"autoStart", "boolean", "true", EffectLive, true,
			"Whether apply starts the container. The default is false for berth create."},
		{"ephemeral", "boolean", "false", EffectRestart, true,
			"Whether the guest's changes to its root are forgotten when it stops. Bind mounts keep theirs."},
		{"restartIfChanged", "boolean", "true", EffectLive, true,
			"Whether apply restarts the running guest for a change that needs it. Otherwise the change waits for the next start."},
		{"timeoutStartSec", "time span", "1min", EffectLive, true,
			"How long the guest may take until it says READY=1. Other inits than systemd do not, and are ready when they run. An update that systemd installs while it boots may take longer."},
		{"privateUsers", "pick, no, identity or a number", "pick", EffectRestart, true,
			"Which of the host's user numbers the guest has: a range of its own (pick), a range that starts at a number, all of them in a namespace (identity), or no user namespace at all (no)."},
		{"dependsOn", "list of container names", "[]", EffectLive, true,
			"Containers that are started before this one and stopped after it."},
		{"healthCheck", "health check", "", EffectLive, false, "How to tell whether the running guest does its work."},
		{"limits", "limits", "{}", EffectLive, true,
			"Bounds on what the guest takes of the host: memoryMax, cpuQuota, tasksMax, ioWeight."},
		{"labels", "map of strings", "{}", EffectLive, true, "The owner's own marks, for -l."},
		{"privateNetwork", "boolean", "false", EffectRestart, true,
			"Whether the guest has a network of its own (for now with a loopback interface only) instead of the host's."},
		{"hostBridge", "interface name", "", EffectRestart, false, "A bridge of the host that the guest's interface joins."},
		{"hostAddress", "IPv4 address", "", EffectRestart, false, "The host's address on the link to the guest."},
		{"localAddress", "IPv4 address", "", EffectRestart, false, "The guest's address, with or without prefix length."},
		{"hostAddress6", "IPv6 address", "", EffectRestart, false, "The host's IPv6 address on the link to the guest."},
		{"localAddress6", "IPv6 address", "", EffectRestart, false, "The guest's IPv6 address, with or without prefix length."},
		{"localMacAddress", "MAC address", "", EffectRestart, false, "The hardware address of the guest's interface."},
		{"networkNamespace", "path", "", EffectRestart, false, "A network namespace that the guest joins."},
		{"interfaces", "list of interface names", "[]", EffectRestart, false, "Interfaces of the host that are moved into the guest."},
		{"macvlans", "list of interface names", "[]", EffectRestart, false, "Interfaces of the host on which the guest gets a macvlan."},
		{"extraVeths", "map of virtual Ethernet pairs", "{}", EffectRestart, false, "Further links between host and guest."},
		{"forwardPorts", "list of port forwards", "[]", EffectLive, false, "Ports of the host that the guest answers."},
		{"bindMounts", "map of bind mounts, by mount point", "{}", EffectRestart, true,
			"Files and directories of the host that the guest sees: hostPath, isReadOnly (true), create (false). Owners are the same numbers on both sides."},
		{"tmpfs", "list of absolute paths, each with :OPTIONS", "[]", EffectRestart, true, "Where the guest gets an empty file system in memory."},
		{"allowedDevices", "list of node and modifier", "[]", EffectRestart, true, "Device nodes that the guest may use."},
		{"additionalCapabilities", "list of capabilities", "[]", EffectRestart, true, "Capabilities that the guest's root has beyond nspawn's own set."},
		{"dropCapabilities", "list of capabilities", "[]", EffectRestart, true, "Capabilities that are taken from the guest's root."},
		{"systemCallFilter", "list of system calls and @groups", "[]", EffectRestart, true, "System calls that are allowed beyond nspawn's own list, or with ~ forbidden."},
		{"enableTun", "boolean", "false", EffectRestart, true, "Whether the guest may make TUN and TAP interfaces: CAP_NET_ADMIN and /dev/net/tun."},
		{"credentials", "list of id, path and encrypted", "[]", EffectRestart, true, "Files whose content the guest's services load as credentials."},
		{"environment", "map of strings", "{}", EffectRestart, true, "Environment variables of the guest's init."},
		{"extraFlags", "list of strings", "[]", EffectRestart, true, "Further arguments of systemd-nspawn."},
	}
}
