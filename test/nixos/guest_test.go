package nixos

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

// TestGuest looks at the system of a guest.
func TestGuest(t *testing.T) {
	t.Parallel()
	var got struct{ Berths, Nspawns, Elsewhere, Resolved, Own, Nix map[string]any }
	evaluate(t, `let
	  seen = c: { inherit (c.boot) isContainer; console = c.console.enable; nix = c.nix.enable; wait = c.systemd.network.wait-online.enable; resolver = c.networking.useHostResolvConf;
	    dhcp = c.networking.useDHCP; timeout = lib.hasInfix "DefaultDeviceTimeoutSec=1s" c.systemd.extraConfig; remounts = c.system.activationScripts.specialfs == "mount";
	    name = c.networking.hostName; root = c.users.users.root.initialHashedPassword or null; };
	  berths = config: seen (host { services.berth.containers.c = { inherit config; }; }).services.berth.containers.c.config;
	in {
	  berths = berths { };
	  nspawns = seen (host { virtualisation.nspawn = { imports = [ { nix.enable = true; } ]; containers.c.config = { }; }; }).virtualisation.nspawn.containers.c.config;
	  elsewhere = seen (host { virtualisation.nspawn.isContainer = true; });
	  resolved = berths { services.resolved.enable = true; };
	  nix = seen (host { services.berth.containers.c = { config = { }; nixInGuest = "own"; }; }).services.berth.containers.c.config;
	  own = berths { nix.enable = true; networking.useDHCP = true; networking.hostName = "other"; };
	}`, &got)
	want := map[string]any{"isContainer": true, "console": true, "nix": false, "wait": false, "resolver": true, "dhcp": false, "timeout": true, "remounts": false, "name": "c", "root": nil}
	for what, c := range map[string]struct {
		got     map[string]any
		changed map[string]any
	}{
		"of services.berth":        {got.Berths, nil},
		"of virtualisation.nspawn": {got.Nspawns, map[string]any{"root": "", "nix": true}},
		"that is built elsewhere":  {got.Elsewhere, map[string]any{"root": "", "name": "nixos"}},
		"with systemd-resolved":    {got.Resolved, map[string]any{"resolver": false}},
		"with a Nix":               {got.Nix, map[string]any{"nix": true}},
		"that says otherwise":      {got.Own, map[string]any{"nix": true, "dhcp": true, "name": "other"}},
	} {
		w := maps.Clone(want)
		maps.Copy(w, c.changed)
		if diff := cmp.Diff(w, c.got); diff != "" {
			t.Errorf("a guest %s (-want +got):\n%s", what, diff)
		}
	}
}

// TestLazy: nothing but the declaration looks at the systems of guests, so that
// they may be made of anything else that the host is made of.
func TestLazy(t *testing.T) {
	t.Parallel()
	var got struct {
		Units   []string
		Hosts   string
		Systems []string
	}
	evaluate(t, `let
	  address = { privateNetwork = true; hostAddress = "10.0.0.1"; localAddress = "10.0.0.2"; };
	  named = config: { networking.hostName = "of-${lib.concatStringsSep "-" (builtins.attrNames config.networking.firewall.interfaces)}-${builtins.substring 0 8 config.networking.extraHosts}"; };
	  of = guest: host ({ config, ... }: {
	    services.berth.takeOverContainers = true;
	    containers.a = address // { config = guest config; };
	    services.berth.containers.b = address // { config = guest config; allowHost = [ 80 ]; };
	    virtualisation.nspawn.containers.c.config = guest config;
	  });
	  unread = of (_: { networking.hostName = throw "somebody has looked"; });
	in {
	  units = builtins.attrNames unread.systemd.services;
	  hosts = unread.networking.extraHosts;
	  systems = map (c: c.system) (builtins.attrValues (of named).services.berth.declaration.containers);
	}`, &got)
	if diff := cmp.Diff([]string{"berth-apply", "berth-autostart", "berth-ingress", "berth-names", "berth@"}, got.Units); diff != "" {
		t.Error(diff)
	}
	if want := "10.0.0.2 a.containers\n10.0.0.2 b.containers\n"; got.Hosts != want {
		t.Errorf("%q, not %q", got.Hosts, want)
	}
	want := container.StoreDir + "/00000000000000000000000000000000-nixos-system-of-berth+-ve-+-10.0.0.2"
	if diff := cmp.Diff([]string{want, want, want}, got.Systems); diff != "" {
		t.Error(diff)
	}
}
