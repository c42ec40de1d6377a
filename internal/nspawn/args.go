package nspawn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
)

// RebootStatus is the exit status of systemd-nspawn whose guest wants to be
// started again.
const RebootStatus = 133

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
	// First, if there is any, is a program with its arguments that the guest
	// runs before, and that becomes Init; it says READY=1 for one that does not.
	First []string
	Spec  container.Spec
}

// Bind is a mounted source, and where the guest sees it.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Args are the arguments of systemd-nspawn(1), without the program's name.
func Args(c Config) []string {
	a := newArguments(c.Version)
	a.flag("--quiet")
	a.set("--settings", "no")
	a.set("--register", yesNo(c.Register))
	a.flag("--keep-unit")
	a.set("--machine", c.Machine)
	a.set("--hostname", c.Hostname)
	a.set("--uuid", c.MachineID)
	a.set("--directory", c.Root)
	a.set("--notify-ready", yesNo(c.Init.Notifies() || len(c.First) > 0))
	a.set("--kill-signal", c.Init.HaltSignalName())
	a.set("--console", "read-only")
	a.set("--link-journal", "no")
	a.set("--timezone", "off")
	a.users(c)
	if c.Spec.PrivateNetwork {
		a.flag("--private-network")
	}
	if c.Spec.NetworkNamespace != "" && !EntersNetwork(c.Spec) {
		a.set("--network-namespace-path", c.Spec.NetworkNamespace)
	}
	a.mounts(c)
	a.rights(c)
	for _, k := range slices.Sorted(maps.Keys(c.Spec.Environment)) {
		a.set("--setenv", k+"="+c.Spec.Environment[k])
	}
	for _, cred := range c.Spec.Credentials {
		a.set("--load-credential", cred.ID+":"+cred.Path)
	}
	if c.Init.Found() && len(c.First) == 0 {
		a.flag("--boot")
		return append(a.list, c.Spec.ExtraFlags...)
	}
	first := c.First
	if len(first) == 0 {
		first = []string{c.Init.Path}
	}
	return slices.Concat(a.list, c.Spec.ExtraFlags, []string{"--"}, first)
}

// EntersNetwork reports whether systemd-nspawn has to be started in the network
// namespace that s names: it would join that from inside of the guest's user
// namespace, which the kernel refuses.
func EntersNetwork(s container.Spec) bool {
	return s.NetworkNamespace != "" && s.PrivateUsers.Mode != container.UsersNo
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *arguments) users(c Config) {
	switch {
	case c.Spec.PrivateUsers.Mode == container.UsersIdentity:
		a.set("--private-users", "identity")
		return
	case c.UIDBase == 0:
		a.set("--private-users", "no")
		return
	}
	a.set("--private-users", fmt.Sprintf("%d:%d", c.UIDBase, container.IDRange))
	if c.ChownRoot {
		a.set("--private-users-ownership", "chown")
	} else {
		a.set("--private-users-ownership", "off")
	}
}

func (a *arguments) mounts(c Config) {
	for _, b := range c.Binds {
		option := "--bind"
		if b.ReadOnly {
			option = "--bind-ro"
		}
		a.set(option, escape(b.Source)+":"+escape(b.Target))
	}
	for _, t := range c.Spec.Tmpfs {
		path, options, ok := strings.Cut(t, ":")
		if ok {
			options = ":" + options
		}
		a.set("--tmpfs", escape(path)+options)
	}
}

// rights are capabilities and system calls.
func (a *arguments) rights(c Config) {
	add, drop := slices.Clone(c.Spec.AdditionalCapabilities), slices.Clone(c.Spec.DropCapabilities)
	if c.Spec.EnableTun && !slices.Contains(add, "CAP_NET_ADMIN") {
		add = append(add, "CAP_NET_ADMIN")
	}
	// Without a user namespace of its own only the lack of this keeps root in
	// the guest from making nodes for the host's disks.
	if c.UIDBase == 0 && !slices.Contains(add, "CAP_MKNOD") && !slices.Contains(add, "all") && !slices.Contains(drop, "CAP_MKNOD") {
		drop = append(drop, "CAP_MKNOD")
	}
	if len(add) > 0 {
		a.set("--capability", join(add))
	}
	if len(drop) > 0 {
		a.set("--drop-capability", join(drop))
	}
	for _, calls := range systemCalls(c.Spec.SystemCallFilter) {
		a.set("--system-call-filter", calls)
	}
	a.set("--restrict-address-families", "")
}

// systemCalls parts the entries that allow from those that forbid: a ~ counts
// for all of an argument.
func systemCalls(filter []string) (values []string) {
	var allow, forbid []string
	for _, f := range filter {
		if name, ok := strings.CutPrefix(f, "~"); ok {
			forbid = append(forbid, name)
		} else {
			allow = append(allow, f)
		}
	}
	if len(allow) > 0 {
		values = append(values, strings.Join(allow, " "))
	}
	if len(forbid) > 0 {
		values = append(values, "~"+strings.Join(forbid, " "))
	}
	return values
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
