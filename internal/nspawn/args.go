package nspawn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
)

// Config is what systemd-nspawn has to be told.
type Config struct {
	Version   int    // of systemd-nspawn, such as 252
	Machine   string // its name for the host, at most 64 bytes
	Hostname  string // its own name for itself
	MachineID string // 32 hexadecimal digits, for a guest that has none yet
	Root      string // the assembled root directory
	UIDBase   uint32 // the host's number of the guest's root; 0 where there is no range
	// ChownRoot lets nspawn give the files in Root to the guest, one by one,
	// where the kernel cannot map them.
	ChownRoot bool
	Binds     []Bind
	// Register makes the guest known to systemd-machined.
	Register bool
	// Init is what the guest runs as PID 1.
	Init boot.Init
	Spec container.Spec
}

// Bind is a mounted source, and where the guest sees it.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Args are the arguments of systemd-nspawn(1), without the program's name.
func Args(c Config) []string {
	a := []string{
		"--quiet", "--settings=no", "--register=" + yesNo(c.Register), "--keep-unit",
		"--machine=" + c.Machine, "--hostname=" + c.Hostname, "--uuid=" + c.MachineID,
		"--directory=" + c.Root,
		"--notify-ready=" + yesNo(c.Init.Notifies()), "--kill-signal=" + c.Init.HaltSignalName(), "--console=read-only",
		"--link-journal=no", "--timezone=off",
	}
	a = append(a, users(c)...)
	if c.Spec.PrivateNetwork {
		a = append(a, "--private-network")
	}
	a = append(a, mounts(c)...)
	a = append(a, rights(c)...)
	for _, k := range slices.Sorted(maps.Keys(c.Spec.Environment)) {
		a = append(a, "--setenv="+k+"="+c.Spec.Environment[k])
	}
	for _, cred := range c.Spec.Credentials {
		a = append(a, "--load-credential="+cred.ID+":"+cred.Path)
	}
	if c.Init.Found() {
		a = append(a, "--boot")
		return append(a, c.Spec.ExtraFlags...)
	}
	return append(append(a, c.Spec.ExtraFlags...), "--", c.Init.Path)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func users(c Config) []string {
	switch {
	case c.Spec.PrivateUsers.Mode == container.UsersIdentity:
		return []string{"--private-users=identity"}
	case c.UIDBase == 0:
		return []string{"--private-users=no"}
	case c.ChownRoot:
		return []string{fmt.Sprintf("--private-users=%d:%d", c.UIDBase, container.IDRange), "--private-users-ownership=chown"}
	default:
		return []string{fmt.Sprintf("--private-users=%d:%d", c.UIDBase, container.IDRange), "--private-users-ownership=off"}
	}
}

func mounts(c Config) []string {
	var a []string
	for _, b := range c.Binds {
		flag := "--bind="
		if b.ReadOnly {
			flag = "--bind-ro="
		}
		a = append(a, flag+escape(b.Source)+":"+escape(b.Target))
	}
	for _, t := range c.Spec.Tmpfs {
		path, options, ok := strings.Cut(t, ":")
		if ok {
			options = ":" + options
		}
		a = append(a, "--tmpfs="+escape(path)+options)
	}
	return a
}

// rights are capabilities and system calls.
func rights(c Config) []string {
	add, drop := slices.Clone(c.Spec.AdditionalCapabilities), slices.Clone(c.Spec.DropCapabilities)
	if c.Spec.EnableTun && !slices.Contains(add, "CAP_NET_ADMIN") {
		add = append(add, "CAP_NET_ADMIN")
	}
	// Without a user namespace of its own only the lack of this keeps root in
	// the guest from making nodes for the host's disks.
	if c.UIDBase == 0 && !slices.Contains(add, "CAP_MKNOD") && !slices.Contains(add, "all") && !slices.Contains(drop, "CAP_MKNOD") {
		drop = append(drop, "CAP_MKNOD")
	}
	var a []string
	if len(add) > 0 {
		a = append(a, "--capability="+join(add))
	}
	if len(drop) > 0 {
		a = append(a, "--drop-capability="+join(drop))
	}
	a = append(a, systemCalls(c.Spec.SystemCallFilter)...)
	if c.Version >= 261 {
		// From this version on the option exists, and its announced default
		// would take AF_NETLINK and AF_PACKET from guests.
		a = append(a, "--restrict-address-families=")
	}
	return a
}

// systemCalls parts the entries that allow from those that forbid: a ~ counts
// for all of an argument.
func systemCalls(filter []string) []string {
	var allow, forbid, a []string
	for _, f := range filter {
		if name, ok := strings.CutPrefix(f, "~"); ok {
			forbid = append(forbid, name)
		} else {
			allow = append(allow, f)
		}
	}
	if len(allow) > 0 {
		a = append(a, "--system-call-filter="+strings.Join(allow, " "))
	}
	if len(forbid) > 0 {
		a = append(a, "--system-call-filter=~"+strings.Join(forbid, " "))
	}
	return a
}

// Env is the environment of systemd-nspawn beside what every program has.
// unified tells whether the host has the v2 hierarchy of cgroups.
func Env(unified bool) []string {
	if !unified {
		return nil
	}
	// Guests see cgroup v2 on hybrid hosts too: systemd 258 and later refuse v1.
	return []string{"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"}
}

func join(caps []container.Capability) string {
	s := make([]string, len(caps))
	for i, c := range caps {
		s[i] = string(c)
	}
	return strings.Join(s, ",")
}

// escape protects a path in an argument whose fields are parted by colons.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(path)
}
