package berth

import (
	"cmp"
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
	"github.com/berth-containers/berth/internal/engine"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/nix/build"
	"github.com/berth-containers/berth/internal/nix/store"
	"github.com/berth-containers/berth/internal/nix/transport"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/transfer"
)

// Options say which containers a Host is about.
type Options struct {
	// Root is the directory below which everything lies that berth keeps; "/"
	// if empty. Two hosts with different roots never meet.
	Root string
	// Events hears of work that goes on; nil discards it.
	Events container.EventFunc
}

// Host is a machine with containers.
type Host struct{ engine *engine.Engine }

type (
	// Wish is what declarations want of a Host.
	Wish = engine.Wish
	// Wanted is what is wanted of one container.
	Wanted = plan.Wanted
	// WantedNetwork is a network that a declaration has.
	WantedNetwork = engine.WantedNetwork
	// Selection chooses containers.
	Selection = engine.Selection
	// Command is a program to run in a guest.
	Command = guest.Command
	// Way is a way for a Command to get into a guest.
	Way = guest.Way
	// LogQuery says what is wanted of a guest's logs.
	LogQuery = engine.LogQuery
	// Place is a path on the host or in a running guest.
	Place = engine.Place
	// Image is a root file system that containers share.
	Image = image.Image
	// PullOptions say how PullStore works.
	PullOptions = engine.PullOptions
	// Pulled is what PullStore brought.
	Pulled = transport.Pulled
	// PushOptions say how PushStore works.
	PushOptions = engine.PushOptions
	// Pushed is what PushStore wrote.
	Pushed = transport.Pushed
	// NixFlag is a flag that the host's Nix gets as it is.
	NixFlag = build.Flag
	// StorePath is a path in berth's own store of Nix.
	StorePath = engine.StoreStatus
	// Collected is what CollectStore removed.
	Collected = store.Collected
	// Nixos works on containers as nixos-container(8) does.
	Nixos = engine.Nixos
	// NixosOptions say what container Nixos.Create makes.
	NixosOptions = engine.NixosOptions
	// NixosSource is what Nixos.Create and Update build a system from.
	NixosSource = engine.NixosSource
)

// The ways into a guest.
const (
	Either = guest.Either
	ByUnit = guest.ByUnit
	Direct = guest.Direct
)

// StopLimit is how long a guest may take to shut down, if nobody says
// otherwise.
const StopLimit = engine.StopLimit

// Open returns the host. It changes nothing.
func Open(o Options) (*Host, error) {
	root, err := filepath.Abs(cmp.Or(o.Root, "/"))
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(state.Paths{Root: root}, o.Events)
	if err != nil {
		return nil, err
	}
	return &Host{e}, nil
}

// Evaluate evaluates a declaration in Nix: a file, a flake.nix, or a flake
// reference. flags are for Nix, as in Wish.NixFlags.
func (h *Host) Evaluate(ctx context.Context, from string, flags []string) (declare.Evaluated, error) {
	return h.engine.Evaluate(ctx, from, flags)
}

// Close gives up what Plan has had built and Apply has not put to use.
func (h *Host) Close() { h.engine.Close() }

// NixFlags are the flags that Wish.NixFlags may have.
func NixFlags() []NixFlag { return build.PassedOn() }

// Select are the names of the containers that s chooses, sorted.
func (h *Host) Select(s Selection) ([]container.Name, error) { return h.engine.Select(s) }

// List is the status of containers.
func (h *Host) List(names []container.Name) ([]container.Status, error) { return h.engine.List(names) }

// Spec is what the owner wants of a container, and who that is.
func (h *Host) Spec(n container.Name) (container.Spec, container.Owner, error) {
	r, err := h.engine.Record(n)
	if err != nil {
		return container.Spec{}, "", err
	}
	return r.Spec, r.Owner, nil
}

// Plan says what Apply would do.
func (h *Host) Plan(ctx context.Context, w Wish) (container.Plan, error) {
	return h.engine.Plan(ctx, w)
}

// Apply carries out a plan for w, and returns when what it started is ready.
func (h *Host) Apply(ctx context.Context, w Wish, p container.Plan) error {
	return h.engine.Apply(ctx, w, p)
}

// Generations are all that are kept of a container, the first first.
func (h *Host) Generations(ctx context.Context, n container.Name) ([]container.Generation, error) {
	return h.engine.Generations(ctx, n)
}

// Rollback is the wish, for Plan and Apply, that a container be as it was in the
// generation to; 0 is the last one before its own that did not fail.
func (h *Host) Rollback(ctx context.Context, n container.Name, to int) (Wish, error) {
	return h.engine.Rollback(ctx, n, to)
}

// Update is the wish, for Plan and Apply, that a container have what the
// references of its spec stand for now.
func (h *Host) Update(ctx context.Context, n container.Name) (Wish, error) {
	return h.engine.Update(ctx, n)
}

// Health is whether a running container does its work, by its health check; nil
// where it has none or does not run.
func (h *Host) Health(ctx context.Context, n container.Name) (*container.Health, error) {
	return h.engine.Health(ctx, n)
}

// Start starts a container and returns when its guest is ready.
func (h *Host) Start(ctx context.Context, n container.Name) error { return h.engine.Start(ctx, n) }

// Stop shuts a guest down, and kills it after limit.
func (h *Host) Stop(ctx context.Context, n container.Name, limit time.Duration) error {
	return h.engine.Stop(ctx, n, limit)
}

// StopOrder sorts containers into groups to stop one after the other: those
// that depend on others first.
func (h *Host) StopOrder(names []container.Name) ([][]container.Name, error) {
	return h.engine.StopOrder(names)
}

// Restart stops a container and starts it.
func (h *Host) Restart(ctx context.Context, n container.Name, limit time.Duration) error {
	return h.engine.Restart(ctx, n, limit)
}

// Terminate kills a guest.
func (h *Host) Terminate(ctx context.Context, n container.Name) error {
	return h.engine.Terminate(ctx, n)
}

// Pause stops time for a running guest, or with false lets it go on.
func (h *Host) Pause(ctx context.Context, n container.Name, on bool) error {
	return h.engine.Pause(ctx, n, on)
}

// Await waits until a container is container.Running or container.Stopped.
func (h *Host) Await(ctx context.Context, n container.Name, s container.State) error {
	return h.engine.Await(ctx, n, s)
}

// Destroy removes a container and all that its guest wrote to its root.
func (h *Host) Destroy(ctx context.Context, n container.Name, limit time.Duration) error {
	return h.engine.Destroy(ctx, n, limit)
}

// Exec runs a program in a running guest and returns its exit code.
func (h *Host) Exec(ctx context.Context, n container.Name, c Command) (int, error) {
	return h.engine.Exec(ctx, n, c)
}

// Copy copies a file or a tree from one place to another; with keepOwners its
// files keep their owners by number, and otherwise belong to root.
func (h *Host) Copy(ctx context.Context, from, to Place, keepOwners bool) error {
	return h.engine.Copy(ctx, from, to, transfer.Options{KeepOwners: keepOwners})
}

// Why tells why a container is as it is.
func (h *Host) Why(ctx context.Context, n container.Name) (container.Diagnosis, error) {
	return h.engine.Why(ctx, n)
}

// Logs calls tell with what a guest logged, the oldest first: the entries of
// its journal, and what it wrote to its console besides. With q.Follow it ends
// when ctx does.
func (h *Host) Logs(ctx context.Context, n container.Name, q LogQuery, tell func(container.LogLine)) error {
	return h.engine.Logs(ctx, n, q, tell)
}

// Config is the directory of the host owner's declarations and settings.
func (h *Host) Config() string { return h.engine.Paths.Config() }

// Install puts in place what starts containers when the machine boots, and
// returns what it made.
func (h *Host) Install(ctx context.Context) ([]string, error) { return h.engine.Install(ctx) }

// Uninstall removes what Install made, and returns what that was.
func (h *Host) Uninstall(ctx context.Context) ([]string, error) { return h.engine.Uninstall(ctx) }

// Autostart are the containers that start when the machine boots.
func (h *Host) Autostart(ctx context.Context) ([]container.Name, error) {
	return h.engine.Autostart(ctx)
}

// Doctor checks the host. It changes nothing.
func (h *Host) Doctor(ctx context.Context) []container.Finding { return h.engine.Doctor(ctx) }

// Networks are all networks of berth's own, by name.
func (h *Host) Networks() ([]container.NetworkStatus, error) { return h.engine.Networks() }

// Network is one of them.
func (h *Host) Network(name string) (container.NetworkStatus, error) { return h.engine.Network(name) }

// Ports are the ports of the host that a container answers.
func (h *Host) Ports(n container.Name) ([]container.PortStatus, error) { return h.engine.Ports(n) }

// CountTraffic adds to the status of a container what went over its links.
func (h *Host) CountTraffic(s *container.Status) error { return h.engine.CountTraffic(s) }

// Explain says for every key of a spec what this host makes of it.
func (h *Host) Explain() ([]container.Explanation, error) { return h.engine.Explain() }

// Sweep removes what killed commands left behind, and says what.
func (h *Host) Sweep(ctx context.Context) ([]string, error) { return h.engine.Sweep(ctx) }

// Images are all images.
func (h *Host) Images() ([]Image, error) { return h.engine.Images.List() }

// ImportImage reads an image from its source, even if it is there already.
func (h *Host) ImportImage(ctx context.Context, r container.ImageRef) (Image, error) {
	return h.engine.ImportImage(ctx, r)
}

// RemoveImage removes an image that no container uses, by a reference, a
// digest, or the beginning of one.
func (h *Host) RemoveImage(ctx context.Context, name string) (Image, error) {
	return h.engine.RemoveImage(ctx, name)
}

// PruneImages removes all images that no container uses.
func (h *Host) PruneImages(ctx context.Context) ([]Image, error) { return h.engine.PruneImages(ctx) }

// Each calls f for every item, some at a time, and returns the errors in the
// order of the items.
func Each[T any](items []T, f func(T) error) []error { return engine.Each(items, f) }

// PullStore brings store paths, by path or hash, with their closures from a
// binary cache into berth's own store.
func (h *Host) PullStore(ctx context.Context, cache string, names []string, o PullOptions) (Pulled, error) {
	return h.engine.Pull(ctx, cache, names, o)
}

// PushStore writes store paths, by path, hash or name, with their closures
// into a binary cache in a directory, or over SSH into the store of another
// host (ssh://HOST).
func (h *Host) PushStore(ctx context.Context, to string, names []string, o PushOptions) (Pushed, error) {
	return h.engine.Push(ctx, to, names, o)
}

// ServeStore gives berth's own store to who speaks the protocol of
// nix-store --serve on r and w, until that one ends, and takes store paths with
// write: nobody is asked who vouches for them.
func (h *Host) ServeStore(ctx context.Context, r io.Reader, w io.Writer, write bool) error {
	return h.engine.ServeStore(ctx, r, w, write)
}

// StorePaths are all store paths in berth's own store.
func (h *Host) StorePaths() ([]StorePath, error) { return h.engine.StorePaths() }

// RemoveStoreName forgets a name, so that what it kept can be collected.
func (h *Host) RemoveStoreName(name string) error { return h.engine.RemoveStoreName(name) }

// CollectStore removes the store paths that neither a name nor a container
// needs.
func (h *Host) CollectStore(ctx context.Context) (Collected, error) {
	return h.engine.CollectStore(ctx)
}

// Nixos gives the containers that nixos-container(8) made, or would have.
func (h *Host) Nixos() Nixos { return h.engine.Nixos() }

// ParseNixosName returns s as a name if nixos-container takes it.
func ParseNixosName(s string) (container.Name, error) { return engine.ParseNixosName(s) }
