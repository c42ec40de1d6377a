package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/declare/conf"
	"github.com/berth-containers/berth/internal/network"
	"github.com/berth-containers/berth/internal/network/survey"
	"github.com/berth-containers/berth/internal/nixos"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
)

// NixosOptions are those of nixos-container create.
type NixosOptions struct {
	Name   container.Name
	Unique bool // with a number behind the name, if that is taken
	// System is one that is built already, or a link to it; otherwise it is built
	// from Source.
	System string
	Source NixosSource
	// AutoStart starts it when the machine boots.
	AutoStart bool
	// Bridge and Port are empty where they are not given.
	Bridge, Port string
	// HostAddress and LocalAddress are chosen where Chosen is set.
	HostAddress, LocalAddress string
	Chosen                    bool
}

// NixosCreated is what came of them.
type NixosCreated struct {
	Name container.Name
	// HostAddress and LocalAddress are empty on a bridge, unless they were given.
	HostAddress, LocalAddress string
	// Note is what its owner should know; may be empty.
	Note string
}

// maxNixosName is the longest name of a container that nixos-container makes.
const maxNixosName = 11

// ParseNixosName returns s as the name of a container if nixos-container takes
// it, and berth does: it begins and ends with a letter or digit besides.
func ParseNixosName(s string) (container.Name, error) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if s == "" || strings.Trim(s, allowed) != "" {
		return "", &container.Error{Err: fmt.Errorf("invalid container name %q", s), Hint: "a name has letters, digits, - and _"}
	}
	n, err := container.ParseName(s)
	if err != nil {
		return "", &container.Error{Err: fmt.Errorf("invalid container name: %w", err)}
	}
	return n, nil
}

// Create makes a container and does not start it. Where it fails it leaves
// nothing.
func (x Nixos) Create(ctx context.Context, o NixosOptions) (NixosCreated, error) {
	var made NixosCreated
	if err := x.e.prepare(); err != nil {
		return made, err
	}
	if _, err := x.e.Sweep(ctx); err != nil {
		return made, err
	}
	for nr := 0; ; nr++ {
		n, err := o.candidate(nr)
		if err != nil {
			return made, err
		}
		err = x.locked(ctx, n, func() error {
			if err := x.free(n, o.Unique); err != nil {
				return err
			}
			made, err = x.create(ctx, nixos.New(x.e.Paths, n), o)
			return err
		})
		if !o.Unique || !errors.Is(err, container.ErrExists) {
			return made, err
		}
	}
}

// candidate is the name to try after so many that were taken.
func (o NixosOptions) candidate(nr int) (container.Name, error) {
	n := o.Name
	if nr > 0 {
		n = container.Name(fmt.Sprintf("%s-%d", o.Name, nr-1))
	}
	if len(n) > maxNixosName {
		return n, &container.Error{Err: fmt.Errorf("container name %q is too long", n), Hint: fmt.Sprintf("nixos-container takes names of up to %d characters, berth create longer ones", maxNixosName)}
	}
	return n, nil
}

// free reports as an error that a name is taken; with unique it is by a root
// directory alone, too.
func (x Nixos) free(n container.Name, unique bool) error {
	place, err := nixos.Find(x.e.Paths, n)
	if err == nil {
		return &container.Error{Err: &nameTaken{n}, Hint: place.Conf + " declares it"}
	} else if !errors.Is(err, container.ErrNotFound) {
		return err
	}
	place = nixos.New(x.e.Paths, n)
	if rec, err := x.e.record(n); err == nil && rec.Owner != place.Owner() {
		return &container.Error{Err: &nameTaken{n}, Hint: fmt.Sprintf("berth has it, and %s declares it", rec.Owner)}
	}
	if _, err := os.Lstat(place.Root); unique && err == nil {
		return container.ErrExists
	}
	return nil
}

// nameTaken is container.ErrExists in the words of nixos-container.
type nameTaken struct{ name container.Name }

func (e *nameTaken) Error() string { return fmt.Sprintf("container %q already exists", e.name) }

func (e *nameTaken) Unwrap() error { return container.ErrExists }

// create makes a container whose lock is held.
func (x Nixos) create(ctx context.Context, place nixos.Place, o NixosOptions) (made NixosCreated, err error) {
	// What is wrong with the options is told before anything is built.
	if _, err := place.Declares(o.assignments(o.example(place.Name)), nixos.Example); err != nil {
		return made, err
	}
	undo := place.Undo()
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	var system container.StorePath
	if o.System != "" {
		system, err = closure.Resolve(o.System)
	} else {
		system, err = x.build(ctx, place, o.Source)
	}
	if err != nil {
		return made, err
	}
	err = x.locked(ctx, "", func() error { // so that no two choose the same addresses
		made, err = x.place(ctx, place, o, system)
		return err
	})
	return made, err
}

// example is what may be chosen for o.
func (o NixosOptions) example(n container.Name) NixosCreated {
	if o.Chosen && o.Bridge == "" {
		return NixosCreated{Name: n, HostAddress: "10.233.1.1", LocalAddress: "10.233.1.2"}
	}
	return NixosCreated{Name: n, HostAddress: o.HostAddress, LocalAddress: o.LocalAddress}
}

// place puts the parts of a container in their places, its file last: what has
// none is not there for any command.
func (x Nixos) place(ctx context.Context, place nixos.Place, o NixosOptions, system container.StorePath) (made NixosCreated, err error) {
	made = NixosCreated{Note: x.bootNote(o), Name: place.Name, HostAddress: o.HostAddress, LocalAddress: o.LocalAddress}
	if o.Chosen && o.Bridge == "" {
		if made.HostAddress, made.LocalAddress, err = x.freeAddresses(); err != nil {
			return made, err
		}
	}
	all := o.assignments(made)
	d, err := place.Declares(all, system)
	if err != nil {
		return made, err
	}
	w := wishFor(place, d.Spec)
	if err := errors.Join(place.SetSystem(system), place.MakeRoot(), place.TakeModule()); err != nil {
		return made, err
	}
	p, err := x.e.Plan(ctx, w)
	if err != nil {
		return made, err
	}
	if err := x.e.Apply(ctx, w, p); err != nil {
		return made, err
	}
	if err := place.Write(all); err != nil {
		return made, errors.Join(err, x.e.release(ctx, place.Name))
	}
	return made, state.RemoveFile(x.e.Paths.Destroyed(place.Name))
}

// bootNote says why a container that is to start when the machine boots will
// not.
func (x Nixos) bootNote(o NixosOptions) string {
	i, ok := x.e.supervisor.(supervise.Installer)
	if !o.AutoStart || ok && i.Installed() {
		return ""
	}
	if !ok {
		return "it starts at boot if what starts this machine runs: berth start --autostart"
	}
	return "it starts at boot once berth install has been run"
}

// assignments are the file of the container, with the keys of nixos-container
// in its order. That its users are not the host's is berth's own.
func (o NixosOptions) assignments(made NixosCreated) []conf.Assignment {
	start := "0"
	if o.AutoStart {
		start = "1"
	}
	all := []conf.Assignment{
		{Key: conf.PrivateNetwork, Value: "1"},
		{Key: conf.HostAddress, Value: made.HostAddress},
		{Key: conf.LocalAddress, Value: made.LocalAddress},
		{Key: conf.HostBridge, Value: o.Bridge},
		{Key: conf.HostPort, Value: o.Port},
		{Key: conf.AutoStart, Value: start},
		{Key: conf.PrivateUsers, Value: "pick"},
	}
	if o.Source.Flake != "" && o.System == "" {
		all = append(all, conf.Assignment{Key: conf.Flake, Value: o.Source.flake()})
	}
	return all
}

// freeAddresses are a pair that nobody has: no container, and as far as
// possible no network that the machine knows.
func (x Nixos) freeAddresses() (host, local string, err error) {
	taken := nixos.Taken(x.e.Paths)
	records, err := x.e.allRecords()
	if err != nil {
		return "", "", err
	}
	for _, r := range records {
		for _, text := range []string{r.Spec.HostAddress, r.Spec.LocalAddress} {
			if a, ok := nixos.Address(text); ok {
				taken[a] = true
			}
		}
	}
	ranges, err := x.ranges()
	if err != nil {
		return "", "", err
	}
	for _, polite := range []bool{true, false} { // a route may lead to more than there is
		h, l, err := nixos.FreePair(func(h, l netip.Addr) bool {
			for _, r := range ranges {
				if (polite || r.IsSingleIP()) && (r.Contains(h) || r.Contains(l)) {
					return false
				}
			}
			return !taken[h] && !taken[l]
		})
		if err == nil {
			return h.String(), l.String(), nil
		} else if !polite {
			return "", "", err
		}
	}
	return "", "", nil
}

// ranges are the subnets and addresses that the machine knows, and berth.
func (x Nixos) ranges() ([]netip.Prefix, error) {
	m, err := survey.Open()
	if err != nil {
		return nil, err
	}
	defer m.Close()
	known, err := m.Ranges()
	if err != nil {
		return nil, err
	}
	own, err := m.Addresses()
	if err != nil {
		return nil, err
	}
	networks, err := network.ReadNetworks(x.e.Paths)
	var out []netip.Prefix
	for _, r := range known {
		if r.Prefix.Bits() > 0 {
			out = append(out, r.Prefix)
		}
	}
	for a := range own {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	for _, n := range networks {
		out = append(out, n.Subnet)
	}
	return out, err
}
