package launch

import (
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/sieve"
	"github.com/berth-containers/berth/internal/state"
)

// filtersFor are the system call filters that a guest's first process installs
// in the place of systemd-nspawn. They are nil where that has to do it itself;
// learns is then the key under which they can be kept for the next guest, or
// empty.
func filtersFor(paths state.Paths, program host.Nspawn, c nspawn.Config, env []string) (filters sieve.Sieve, learns string, err error) {
	if !installable(c) {
		return nil, "", nil
	}
	if has, err := namespace.Filtered(); err != nil || has {
		return nil, "", err // it is the guest's too, and no filter of it can be read
	}
	q, err := question(program, c, env)
	if err != nil {
		return nil, "", err
	}
	key := q.Key()
	found, known := sieve.Store{Dir: paths.Sieves()}.Find(key)
	switch {
	case !known:
		return nil, key, nil
	case len(found) == 0:
		return nil, "", nil
	}
	return found, "", nil
}

// installable reports whether the guest's first process may install filters,
// and whether they are of a kind that never keeps it from becoming the init.
func installable(c nspawn.Config) bool {
	forbids := slices.ContainsFunc(c.Spec.SystemCallFilter, func(f string) bool { return strings.HasPrefix(f, "~") })
	drops := slices.ContainsFunc(c.Spec.DropCapabilities, func(dropped container.Capability) bool {
		return slices.Contains([]string{"CAP_SYS_ADMIN", "all"}, string(dropped))
	})
	return c.Init.Path != "" && len(c.Spec.ExtraFlags) == 0 && !forbids && !drops
}

// question is what the filters of a guest depend on: all that systemd-nspawn
// is told, but for what is different for each guest and of no matter to them.
func question(program host.Nspawn, c nspawn.Config, env []string) (sieve.Question, error) {
	c.Machine, c.Hostname, c.MachineID, c.Root = "guest", "guest", "", "/"
	c.UIDBase = min(c.UIDBase, 1)
	c.Binds, c.First, c.Init = nil, nil, boot.Init{}
	c.Spec.Tmpfs, c.Spec.Environment, c.Spec.Credentials, c.Spec.NetworkNamespace = nil, nil, nil, ""
	env = slices.DeleteFunc(slices.Clone(env), func(e string) bool { return strings.HasPrefix(e, "NOTIFY_SOCKET=") })
	return sieve.Ask(program.Path, program.Version, nspawn.Args(c), env)
}
