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
		{"system", "store path, or a link to one", "", EffectSwitch, true,
			"A NixOS system that is already built. The guest starts from an empty root and sees the packages of its system in /nix/store, read-only."},
		{"storeAccess", "closure or host", "", EffectRestart, true,
			"Which packages a guest with a NixOS system sees: those that its system consists of (closure, unless it is set), or all of the host (host)."},
		{"autoStart", "boolean", "true", EffectLive, true,
			"Whether apply starts the container. The default is false for berth create."},
		{"ephemeral", "boolean", "false", EffectRestart, true,
			"Whether the guest's changes to its root are forgotten when it stops. Bind mounts keep theirs."},
		{"restartIfChanged", "boolean", "true", EffectLive, true,
			"Whether apply restarts the running guest, or has it change its system in place, for a change that needs it. Otherwise the change waits for the next start."},
		{"timeoutStartSec", "time span", "1min", EffectLive, true,
			"How long the guest may take until it says READY=1. Other inits than systemd do not, and are ready when they run. An update that systemd installs while it boots may take longer."},
		{"privateUsers", "pick, no, identity or a number", "pick", EffectRestart, true,
			"Which of the host's user numbers the guest has: a range of its own (pick), a range that starts at a number, all of them in a namespace (identity), or no user namespace at all (no)."},
		{"dependsOn", "list of container names", "[]", EffectLive, true,
			"Containers that are started before this one and stopped after it."},
		{"healthCheck", "health check", "", EffectLive, true,
			"How to tell whether the running guest does its work: command (run in the guest), tcp (:80) or http (http://localhost/), as seen in the guest; interval (1s), timeout (5s), retries (1). It counts after an update, and for status."},
		{"healthTimeout", "time span", "1min", EffectLive, true,
			"How long a guest may take after an update to another NixOS system until it is healthy: its units run, none has failed that had not before, and healthCheck agrees. Otherwise it gets its old system back."},
		{"keepGenerations", "number", "5", EffectLive, true,
			"How many generations are kept, with what they consist of. Those in use, and those with which something is set aside, are kept besides."},
		{"limits", "limits", "{}", EffectLive, true,
			"Bounds on what the guest takes of the host: memoryMax, cpuQuota, tasksMax, ioWeight."},
		{"labels", "map of strings", "{}", EffectLive, true, "The owner's own marks, for -l."},
		{"privateNetwork", "boolean", "false", EffectRestart, true,
			"Whether the guest has a network of its own instead of the host's. If no other key says which, it is on the default network, with addresses, names and the Internet."},
		{"networks", "list of network names", "[]", EffectRestart, true,
			"The networks that the guest is on: those that declarations name below networks, default, or none for a loopback interface alone."},
		{"zone", "network name", "", EffectRestart, true,
			"The network that all guests which name it share. It is made when the first does, if no declaration has it, and is the guest's first."},
		{"hostBridge", "interface name", "", EffectRestart, true,
			"A bridge of the host that the guest's first interface joins. Without localAddress the guest asks there for an address itself, by DHCP."},
		{"hostAddress", "IPv4 address", "", EffectRestart, true,
			"The host's address on a link of the host and the guest alone, with or without prefix length; with hostBridge the gateway."},
		{"localAddress", "IPv4 address", "", EffectRestart, true,
			"The guest's address, with or without prefix length: opposite hostAddress, or on hostBridge, or a fixed one in zone or the first of networks."},
		{"hostAddress6", "IPv6 address", "", EffectRestart, true, "As hostAddress, for IPv6."},
		{"localAddress6", "IPv6 address", "", EffectRestart, true, "As localAddress, for IPv6."},
		{"localMacAddress", "MAC address", "", EffectRestart, true, "The hardware address of the guest's first interface, eth0, instead of one that berth chooses."},
		{"networkNamespace", "path", "", EffectRestart, true, "A network namespace that the guest joins, as somebody else has set it up."},
		{"interfaces", "list of interface names", "[]", EffectRestart, true, "Interfaces of the host that are moved into the guest, and return when it stops."},
		{"macvlans", "list of interface names", "[]", EffectRestart, true, "Interfaces of the host on which the guest gets a macvlan, called mv-INTERFACE."},
		{"extraVeths", "map of virtual Ethernet pairs", "{}", EffectRestart, true,
			"Further links between host and guest, of the name given on both sides: hostBridge, hostAddress, localAddress, hostAddress6, localAddress6, localMacAddress, forwardPorts."},
		{"forwardPorts", "list of port forwards", "[]", EffectLive, true,
			"Ports of the host that the guest answers: hostPort (80, or 8000-8010), protocol (tcp), containerPort (as hostPort), hostAddress (all)."},
		{"aliases", "list of host names", "[]", EffectLive, true, "Further names under which other guests, and the host, find the guest."},
		{"allowHost", "list of ports of the host", "[]", EffectLive, true,
			"Ports of the host that the guest may use, such as 5432, udp/123, tcp/8000-8010 or all. Otherwise it reaches none of the host's services but DNS."},
		{"ingress", "list of host, port and tls", "[]", EffectLive, true,
			"Names for which the host answers HTTP and HTTPS, and the guest's port that gets it: host, port (80), tls (acme, internal or off)."},
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
