// Package launch is the last step before a guest: it assembles the guest's
// root in a mount namespace of its own and says how to start systemd-nspawn
// there. A shim does both itself, a unit starts `berth run NAME`.
package launch

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/preinit"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// MountDir is the directory below a container's runtime directory on which
// its root is assembled.
const MountDir = "mnt"

// Options are what the supervisor says of a launch.
type Options struct {
	LostLimits string // for people: which limits could not be set
	Register   bool   // make the guest known to systemd-machined
	// Credentials is where systemd has put the spec's credentials, by their IDs;
	// empty where systemd-nspawn is to read them itself.
	Credentials string
	Notify      string // the socket that is told when the guest is ready; see sd_notify(3)
}

// Command is a systemd-nspawn that is ready to be started.
type Command struct {
	Path string
	Args []string // with the program's name in front
	Env  []string // KEY=VALUE, and nothing else of the caller's
	// Updates says that the guest installs an update while it boots, which may
	// take long.
	Updates bool
	// Gate is where the guest asks for its network, which is Lease, before its
	// init runs: Admit answers. It is nil where nobody asks.
	Gate  *preinit.Gate
	Lease network.Lease
	// Learns is the key of the filters that the gate lets us see, or empty.
	Learns string
}

// Assemble puts the container's root together in the mount namespace of the
// calling thread, which nothing else uses, and returns what to start on that
// thread: it may be in another network namespace then.
// The container's runtime directory has to be in place. After an error the
// mounts made so far stay until the mount namespace ends.
func Assemble(paths state.Paths, rec *state.Record, o Options) (Command, error) {
	probe := host.System()
	program, err := probe.Nspawn()
	if err != nil {
		return Command{}, err
	}
	mapped, err := probe.MappedLayers()
	if err != nil {
		return Command{}, err
	}
	root, err := rootOf(paths, rec, mapped)
	if err != nil {
		return Command{}, err
	}
	mounted, err := mount(root, paths.Machine(rec.Name), o.Register)
	if err != nil {
		return Command{}, err
	}
	command := Command{Path: program.Path}
	if command.Lease, err = LeaseOf(paths, rec); err != nil {
		return Command{}, err
	}
	if len(command.Lease.Links) == 0 { // it may have had some in the run before
		if err := network.Detach(context.Background(), paths, rec.Name); err != nil {
			return Command{}, err
		}
	}
	launched := state.Launched{Record: *rec, Lost: mounted.Lost, LostLimits: o.LostLimits}
	if launched.Shown, err = shown(paths, rec); err != nil {
		return Command{}, err
	}
	if root.Unmapped && root.Users.Size != 0 {
		launched.Lost = append(launched.Lost, "starting quickly: this kernel's overlays cannot map owners (Linux 5.19 can), so the owner of each file of the image is changed for this container")
	}
	if err := findInit(&launched, mounted.Root); err != nil {
		return Command{}, err
	}
	c := config(paths, rec, root, mounted)
	c.Init = launched.Init
	if c.Spec.Credentials, err = credentials(rec.Spec.Credentials, o.Credentials); err != nil {
		return Command{}, err
	}
	c.Version, c.ChownRoot, c.Register = program.Version, root.Unmapped, o.Register
	env := environment(o.Notify)
	p, err := prepare(root, paths, rec, program, c, env, len(command.Lease.Links) > 0)
	if err != nil {
		return Command{}, err
	}
	if p.needed() {
		c.Binds, c.First = append(c.Binds, p.bind), p.task.Args()
	}
	launched.Learns = p.learns
	if err := state.WriteLaunched(paths.Run(rec.Name), launched); err != nil {
		return Command{}, err
	}
	command.Gate, command.Learns = p.gate, p.learns
	if nspawn.EntersNetwork(rec.Spec) {
		if err := namespace.EnterNetwork(rec.Spec.NetworkNamespace); err != nil {
			return Command{}, fmt.Errorf("networkNamespace: %w", err)
		}
	}
	command.Args, command.Env, command.Updates = append([]string{program.Path}, nspawn.Args(c)...), append(env, p.env...), launched.Updates
	return command, nil
}

// mount puts root together where the host does not see it.
func mount(root rootfs.Root, machine string, registers bool) (rootfs.Mounted, error) {
	if err := rootfs.Isolate(); err != nil {
		return rootfs.Mounted{}, err
	}
	if err := makeRoom(machine, registers); err != nil {
		return rootfs.Mounted{}, err
	}
	if err := os.MkdirAll(root.Dir, 0o700); err != nil {
		return rootfs.Mounted{}, err
	}
	return root.Mount()
}

// makeRoom takes away what a systemd-nspawn that was killed left on the host for a
// machine of this name, which does not run: another one refuses to start then.
func makeRoom(machine string, registers bool) error {
	const shared = "/run/systemd/nspawn" // with systemd-machined alone
	if !registers {
		return rootfs.Hide(shared)
	}
	// The one until version 260, the other since.
	return rootfs.Uncover(filepath.Join(shared, "unix-export", machine), filepath.Join(shared, machine, "unix-export"))
}

// UIDBase is the host's number of the guest's root under r, or 0 where the
// guest has no range of its own.
func UIDBase(r *state.Record) uint32 {
	switch r.Spec.PrivateUsers.Mode {
	case container.UsersPick:
		return r.UIDBase
	case container.UsersBase:
		return r.Spec.PrivateUsers.Base
	default:
		return 0
	}
}

func rootOf(paths state.Paths, rec *state.Record, mapped bool) (rootfs.Root, error) {
	root := rootfs.Root{
		Dir: filepath.Join(paths.Run(rec.Name), MountDir),
	}
	if err := setOrigin(&root, paths, rec); err != nil {
		return root, err
	}
	if base := UIDBase(rec); base != 0 {
		root.Users = rootfs.IDs{Base: base, Size: container.IDRange}
		root.Unmapped = !mapped
	}
	if !rec.Spec.Ephemeral {
		root.Changes, root.Tree = filepath.Join(paths.Container(rec.Name), state.Changes), rec.Root
		var err error
		if root.Owned, err = owned(root); err != nil {
			return root, err
		}
	}
	for _, target := range slices.Sorted(maps.Keys(rec.Spec.BindMounts)) {
		b := rec.Spec.BindMounts[target]
		root.Binds = append(root.Binds, rootfs.Bind{Source: b.HostPath, Target: target, ReadOnly: b.IsReadOnly})
	}
	daemon, err := daemonBinds(paths, rec)
	if err != nil {
		return root, err
	}
	root.Binds, root.Dirs = append(root.Binds, daemon...), dirsOf(daemon)
	root.Devices = devices(rec.Spec)
	return root, nil
}

// devices are the nodes that the guest gets to see. A class of devices has
// none, and a bind mount may have put something else in the place of one.
func devices(s container.Spec) []string {
	var out []string
	for _, d := range s.AllowedDevices {
		if _, bound := s.BindMounts[d.Node]; !bound && strings.HasPrefix(d.Node, "/") {
			out = append(out, d.Node)
		}
	}
	return out
}

// config is what systemd-nspawn is told of a container and its mounted root.
func config(paths state.Paths, rec *state.Record, root rootfs.Root, m rootfs.Mounted) nspawn.Config {
	c := nspawn.Config{
		Machine:   paths.Machine(rec.Name),
		Hostname:  rec.Name.Hostname(),
		MachineID: rec.MachineID,
		Root:      m.Root,
		UIDBase:   UIDBase(rec),
		Spec:      rec.Spec,
	}
	for i, b := range root.Binds {
		c.Binds = append(c.Binds, nspawn.Bind{Source: m.Binds[i], Target: b.Target, ReadOnly: b.ReadOnly})
	}
	if rec.Spec.NixInGuest == container.NixDaemon {
		env := map[string]string{"NIX_REMOTE": "daemon"}
		maps.Copy(env, rec.Spec.Environment)
		c.Spec.Environment = env
	}
	if m.Store != "" {
		c.Binds = append(c.Binds, nspawn.Bind{Source: m.Store, Target: container.StoreDir, ReadOnly: root.Store.Own == nil})
	}
	for i, node := range devices(rec.Spec) {
		c.Binds = append(c.Binds, nspawn.Bind{Source: m.Devices[i], Target: node})
	}
	return c
}

// environment is what systemd-nspawn gets: nothing of the caller's, except
// where to say that the guest is ready.
func environment(notify string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=vt220"}
	if notify != "" {
		env = append(env, "NOTIFY_SOCKET="+notify)
	}
	unified := false
	if h, err := cgroup.Mounted(); err == nil {
		unified = h.Mode() != "legacy"
	}
	return append(env, nspawn.Env(unified)...)
}
