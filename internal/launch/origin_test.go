package launch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/nspawn"
	"github.com/berth-containers/berth/internal/rootfs"
	"github.com/berth-containers/berth/internal/state"
)

// TestSystem launches a system: nothing of an image, its store, and its init.
func TestSystem(t *testing.T) {
	t.Parallel()
	p, r := newRecord(t)
	const system = container.StorePath("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-system")
	r.Digest, r.System = "", system
	var e *container.Error
	if _, err := rootOf(p, r, true); !errors.As(err, &e) || e.Hint != "berth start web_1 finds out" {
		t.Errorf("without a closure: %v", err)
	}
	c := closure.Closure{System: system, Dir: "/s", Paths: []container.StorePath{system}}
	must(t, os.MkdirAll(p.System(r.Name), 0o700))
	must(t, state.WriteJSON(filepath.Join(p.System(r.Name), system.Base()+".json"), c))
	root, err := rootOf(p, r, true)
	if err != nil || root.Image != "" || root.Store.Dir != "/s" || root.Store.Whole || !slices.Equal(root.Store.Names, []string{system.Base()}) {
		t.Errorf("%+v, %v", root, err)
	}
	r.Spec.StoreAccess = container.StoreHost
	if root, err = rootOf(p, r, true); err != nil || !root.Store.Whole || root.Store.Names != nil {
		t.Errorf("the host's store: %+v, %v", root.Store, err)
	}
	l := state.Launched{Record: *r}
	if must(t, findInit(&l, "/nowhere")); l.Init != (boot.Init{Kind: boot.Script, Path: string(system) + "/init"}) {
		t.Errorf("init: %+v", l.Init)
	}
	conf := config(p, r, root, rootfs.Mounted{Root: "/root", Binds: []string{"/0", "/1", "/2"}, Devices: []string{"/dev/0"}, Store: "/mnt/shown"})
	conf.Init = l.Init
	args := strings.Join(nspawn.Args(conf), " ")
	if !strings.Contains(args, " --bind-ro=/mnt/shown:/nix/store ") || !strings.HasSuffix(args, " -- "+string(system)+"/init") {
		t.Errorf("arguments: %s", args)
	}
}
