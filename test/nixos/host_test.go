package nixos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

// outcome is what the module of a host comes to.
type outcome struct {
	Declaration json.RawMessage
	Refused     []string
	Warnings    []string
}

// keys are those of the container c as the module has written them.
func (o outcome) keys(t *testing.T) map[string]any {
	t.Helper()
	var d struct{ Containers map[string]map[string]any }
	must(t, json.Unmarshal(o.Declaration, &d))
	return d.Containers["c"]
}

// outcomes evaluates a host for each module, which are given as text.
func outcomes(t *testing.T, texts []string) []outcome {
	t.Helper()
	var out []outcome
	evaluate(t, fmt.Sprintf(`map (module: let c = host module; in {
	  inherit (c.services.berth) declaration;
	  inherit (c) warnings;
	  refused = map (a: a.message) (builtins.filter (a: !a.assertion) c.assertions);
	}) [ %s ]`, "("+strings.Join(texts, ")\n(")+")"), &out)
	return out
}

// parse reads what a module has declared as berth does.
func parse(t *testing.T, o outcome) *declare.Declaration {
	t.Helper()
	d, err := declare.ParseYAML(bytes.NewReader(o.Declaration), filepath.Join(t.TempDir(), "nixos.json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, o.Declaration)
	}
	return d
}

// taken is a host that has one container of NixOS, with some options.
func taken(options string) string {
	return `{ services.berth.takeOverContainers = true; containers.c = { path = lib.mkForce "/nix/store/s"; ` + options + ` }; }`
}

// private are options that give the guest a link.
const private = `privateNetwork = true; hostAddress = "10.0.0.1"; localAddress = "10.0.0.2"; `

// TestContainersOptions sets each option of containers.<name>: it is a key, or
// it is refused with a reason.
func TestContainersOptions(t *testing.T) {
	t.Parallel()
	cases := []struct{ option, text, key, want string }{
		{"path", ``, "system", `"/nix/store/s"`},
		{"config", `config = { };`, "system", `"/nix/store/s"`},
		{"nixpkgs", `nixpkgs = "/nowhere";`, "system", `"/nix/store/s"`},
		{"specialArgs", `specialArgs.a = 1;`, "system", `"/nix/store/s"`},
		{"pkgs", ``, "pkgs", ``},
		{"flake", `flake = "github:a/b#c";`, "flake", `"github:a/b#c"`},
		{"flake", `flake = "github:a/b#c";`, "system", ``},
		{"autoStart", ``, "autoStart", `false`},
		{"autoStart", `autoStart = true;`, "autoStart", `true`},
		{"ephemeral", ``, "root", `"/var/lib/nixos-containers/c"`},
		{"ephemeral", `ephemeral = true;`, "root", ``},
		{"ephemeral", `ephemeral = true;`, "ephemeral", `true`},
		{"restartIfChanged", `restartIfChanged = false;`, "restartIfChanged", `false`},
		{"timeoutStartSec", `timeoutStartSec = "5min";`, "timeoutStartSec", `"5min"`},
		{"privateUsers", ``, "privateUsers", `"no"`},
		{"privateUsers", `privateUsers = "pick";`, "privateUsers", `"pick"`},
		{"privateUsers", `privateUsers = 6553600;`, "privateUsers", `6553600`},
		{"enableTun", `enableTun = true;`, "enableTun", `true`},
		{"additionalCapabilities", `additionalCapabilities = [ "CAP_NET_ADMIN" ];`, "additionalCapabilities", `["CAP_NET_ADMIN"]`},
		{"allowedDevices", `allowedDevices = [ { node = "/dev/fuse"; modifier = "rw"; } ];`, "allowedDevices", `[{"modifier":"rw","node":"/dev/fuse"}]`},
		{"tmpfs", `tmpfs = [ "/var:size=1G" ];`, "tmpfs", `["/var:size=1G"]`},
		{"bindMounts", `bindMounts."/a" = { };`, "bindMounts", `{"/a":{"hostPath":"/a","isReadOnly":true}}`},
		{"bindMounts", `bindMounts.x = { mountPoint = "/b:idmap"; hostPath = "/a"; isReadOnly = false; };`, "bindMounts", `{"/b":{"hostPath":"/a","isReadOnly":false}}`},
		{"privateNetwork", `privateNetwork = true;`, "networks", `["none"]`},
		{"networkNamespace", `networkNamespace = "/run/netns/a";`, "networkNamespace", `"/run/netns/a"`},
		{"interfaces", `interfaces = [ "eth1" ];`, "privateNetwork", `true`},
		{"interfaces", `interfaces = [ "eth1" ];`, "interfaces", `["eth1"]`},
		{"macvlans", `macvlans = [ "eth1" ];`, "macvlans", `["eth1"]`},
		{"extraVeths", `privateNetwork = true; extraVeths.ve0 = { hostAddress = "10.1.0.1"; localAddress = "10.1.0.2"; };`, "extraVeths",
			`{"ve0":{"forwardPorts":[],"hostAddress":"10.1.0.1","localAddress":"10.1.0.2"}}`},
		{"hostBridge", `privateNetwork = true; hostBridge = "br0";`, "hostBridge", `"br0"`},
		{"hostAddress", private, "hostAddress", `"10.0.0.1"`},
		{"localAddress", private, "localAddress", `"10.0.0.2"`},
		{"hostAddress6", private + `hostAddress6 = "fd00::1"; localAddress6 = "fd00::2";`, "hostAddress6", `"fd00::1"`},
		{"localAddress6", private + `hostAddress6 = "fd00::1"; localAddress6 = "fd00::2";`, "localAddress6", `"fd00::2"`},
		{"localMacAddress", private + `localMacAddress = "de:b7:73:01:10:90";`, "localMacAddress", `"de:b7:73:01:10:90"`},
		{"forwardPorts", private + `forwardPorts = [ { hostPort = 80; } ];`, "forwardPorts", `[{"hostPort":80,"protocol":"tcp"}]`},
		{"copyResolvConf", `copyResolvConf = false;`, "extraFlags", `["--resolv-conf=off"]`},
		{"extraFlags", `extraFlags = [ "--bind-ro=/x" "--bind=/x:/y" "--hostname=h" ];`, "extraFlags", `["--hostname=h"]`},
		{"extraFlags", `extraFlags = [ "--bind-ro=/x" "--bind=/x:/y" ];`, "bindMounts", `{"/x":{"hostPath":"/x","isReadOnly":true},"/y":{"hostPath":"/x","isReadOnly":false}}`},
		{"extraFlags", `extraFlags = [ "--drop-capability=CAP_CHOWN,CAP_KILL" ];`, "dropCapabilities", `["CAP_CHOWN","CAP_KILL"]`},
		{"extraFlags", `extraFlags = [ "--capability=CAP_SYS_TIME" ]; additionalCapabilities = [ "CAP_SYS_TIME" ];`, "additionalCapabilities", `["CAP_SYS_TIME"]`},
		{"extraFlags", `extraFlags = [ "--system-call-filter=@keyring bpf" ];`, "systemCallFilter", `["@keyring","bpf"]`},
		{"extraFlags", `extraFlags = [ "--tmpfs=/t" ];`, "tmpfs", `["/t"]`},
		{"extraFlags", `extraFlags = [ "--tmpfs" "/t" "--capability=CAP_CHOWN --rlimit=RLIMIT_NOFILE=64" ];`, "tmpfs", `["/t"]`},
		{"extraFlags", `extraFlags = [ "--tmpfs" "/t" "--capability=CAP_CHOWN --rlimit=RLIMIT_NOFILE=64" ];`, "extraFlags", `["--rlimit=RLIMIT_NOFILE=64"]`},
		{"extraFlags", `extraFlags = [ "--setenv" "A=B" ];`, "extraFlags", `["--setenv","A=B"]`},
		{"extraFlags", `extraFlags = [ "-U" ];`, "privateUsers", `"pick"`},
		{"extraFlags", `extraFlags = [ "-U" "--private-users-ownership=chown" "--link-journal=host" ];`, "extraFlags", `[]`},
		{"extraFlags", `privateUsers = "pick"; extraFlags = [ "-U --private-users=131072:65536" ];`, "privateUsers", `131072`},
		{"extraFlags", `extraFlags = [ "--private-network" ];`, "networks", `["none"]`},
		{"dropCapabilities", `dropCapabilities = [ "CAP_CHOWN" "CAP_KILL" ];`, "dropCapabilities", `["CAP_CHOWN","CAP_KILL"]`},
		{"privateUsers", `privateUsers = 0;`, "privateUsers", `"identity"`},
	}
	var texts []string
	covered := map[string]bool{}
	for _, c := range cases {
		texts = append(texts, "{ lib, ... }: "+taken(c.text))
		covered[c.option] = true
	}
	for i, o := range outcomes(t, texts) {
		got, ok := o.keys(t)[cases[i].key]
		text, err := json.Marshal(got)
		must(t, err)
		if !ok {
			text = nil
		}
		if string(text) != cases[i].want {
			t.Errorf("%s: %s is %s, not %s", cases[i].text, cases[i].key, text, cases[i].want)
		}
		if len(o.Refused)+len(o.Warnings) > 0 {
			t.Errorf("%s: %q %q", cases[i].text, o.Refused, o.Warnings)
		}
		parse(t, o)
	}
	for _, list := range []string{"containers", "nixos"} {
		for _, option := range optionNames(t, list) {
			if !covered[option] {
				t.Errorf("%s: no case has the option %s", list, option)
			}
		}
	}
}

// optionNames are those of containers.<name>: that the module knows, or that
// NixOS has.
func optionNames(t *testing.T, whose string) []string {
	t.Helper()
	var names []string
	evaluate(t, map[string]string{
		"containers": `(import (here + "/../../nix/lib")).containers.options`,
		"nixos":      `builtins.attrNames (removeAttrs ((eval { }).options.containers.type.getSubOptions [ ]) [ "_module" ])`,
	}[whose], &names)
	if len(names) < 30 {
		t.Errorf("%s: %q", whose, names)
	}
	return names
}

// TestSaid holds what is refused, and what is warned of.
func TestSaid(t *testing.T) {
	t.Parallel()
	cases := []struct{ text, refused, warning string }{
		{taken(private + `localAddress6 = "fd00::2";`), "containers.c.localAddress6: nothing is opposite this address; give hostAddress6 too, or hostBridge.", ""},
		{taken(private + `networkNamespace = "/run/netns/a";`), "containers.c.networkNamespace: the guest cannot join a network namespace and have a network of its own as well.", ""},
		{taken(`bindMounts."/a:norbind,idmap" = { };`), `containers.c.bindMounts."/a:norbind,idmap": berth has no norbind; owners are the same numbers on both sides.`, ""},
		{taken(`hostAddress = "10.0.0.1";`), "", "containers.c.hostAddress has no effect without privateNetwork."},
		{taken(private + `copyResolvConf = false;`), "", "containers.c.copyResolvConf has no effect with privateNetwork: the guest gets a resolver of its own network, never the host's file."},
		{`{ options.containers = lib.mkOption { type = lib.types.attrsOf (lib.types.submodule { options.extra = lib.mkOption { type = lib.types.bool; default = false; }; }); };
		   config = ` + taken(`extra = true;`) + `; }`, "", "containers.c.extra is not known to berth, and has no effect."},
		{`{ services.berth.takeOverContainers = true; containers.c.path = "/a"; virtualisation.nspawn.containers.c.path = "/b"; }`,
			"containers.c: containers and virtualisation.nspawn.containers both declare this container; keep one.", ""},
		{`{ services.berth.takeOverContainers = true; containers.c.path = "/a"; services.berth.containers.c.system = "/b"; }`,
			"services.berth.containers.c: another option says already what the guest is made of; leave system out.", ""},
		{nspawned(`binds."/a".options = [ "noidmap" ];`), `virtualisation.nspawn.containers.c.binds."/a".options: berth has no noidmap; owners are the same numbers on both sides.`, ""},
		{nspawned(`network.veth.zone = "z"; network.veth.config.host.networkConfig.Address = "10.0.0.1/24";`),
			"virtualisation.nspawn.containers.c.network.veth.config.host: the addresses of a zone are those of its network; say services.berth.networks.z.subnet.", ""},
		{nspawned(`network.veth.config.container = { networkConfig.Gateway = "10.0.0.9"; address = [ "10.0.0.2/24" ]; };`),
			"virtualisation.nspawn.containers.c.network.veth.config.container: the guest's gateway is the host's address on the link.", ""},
		{nspawned(`network.veth.config.host.networkConfig.VRF = [ "a" ];`),
			"virtualisation.nspawn.containers.c.network.veth.config.host: berth sets the link up itself, and does not know networkConfig.VRF.", ""},
	}
	var texts []string
	for _, c := range cases {
		texts = append(texts, "{ lib, ... }: "+c.text)
	}
	for i, o := range outcomes(t, texts) {
		if got := strings.Join(o.Refused, "\n"); !strings.HasPrefix(got, cases[i].refused) || cases[i].refused == "" && got != "" {
			t.Errorf("refused:\n%s\n%s", got, cases[i].refused)
		}
		if got := strings.Join(o.Warnings, "\n"); got != cases[i].warning {
			t.Errorf("warned:\n%s\n%s", got, cases[i].warning)
		}
	}
}

// nspawned is a host that has one container of nixos-nspawn.
func nspawned(options string) string {
	return `{ virtualisation.nspawn.containers.c = { path = lib.mkForce "/nix/store/s"; ` + options + ` }; }`
}

// TestNspawnOptions sets those of virtualisation.nspawn.containers, as its
// examples do.
func TestNspawnOptions(t *testing.T) {
	t.Parallel()
	cases := []struct{ text, key, want string }{
		{``, "autoStart", `true`},
		{``, "ephemeral", `true`},
		{``, "privateUsers", `"pick"`},
		{``, "privateNetwork", `true`},
		{``, "networks", ``},
		{`autoStart = false;`, "autoStart", `false`},
		{`restartIfChanged = false;`, "restartIfChanged", `false`},
		{`config = { };`, "system", `"/nix/store/s"`},
		{`network.veth.enable = false;`, "networks", `["none"]`},
		{`network.veth.zone = "z";`, "zone", `"z"`},
		{`binds."/var/lib/example" = { };`, "bindMounts", `{"/var/lib/example":{"hostPath":"/var/lib/example","isReadOnly":false}}`},
		{`binds."/var/lib/p" = { hostPath = "/mnt/p"; options = [ "idmap" ]; readOnly = true; };`, "bindMounts", `{"/var/lib/p":{"hostPath":"/mnt/p","isReadOnly":true}}`},
		{static, "hostAddress", `"192.168.42.1/24"`},
		{static, "hostAddress6", `"fc42::1/64"`},
		{static, "localAddress", `"192.168.42.2/24"`},
		{static, "localAddress6", `"fc42::2/64"`},
	}
	var texts []string
	for _, c := range cases {
		texts = append(texts, "{ lib, ... }: "+nspawned(c.text))
	}
	for i, o := range outcomes(t, texts) {
		got, ok := o.keys(t)[cases[i].key]
		text, err := json.Marshal(got)
		must(t, err)
		if !ok {
			text = nil
		}
		if string(text) != cases[i].want || len(o.Refused)+len(o.Warnings) > 0 {
			t.Errorf("%s: %s is %s, not %s; %q %q", cases[i].text, cases[i].key, text, cases[i].want, o.Refused, o.Warnings)
		}
		parse(t, o)
	}
	var known, there []string
	evaluate(t, `(import (here + "/../../nix/lib")).nspawn.options`, &known)
	evaluate(t, `builtins.attrNames (removeAttrs ((eval { }).options.virtualisation.nspawn.containers.type.getSubOptions [ ]) [ "_module" ])`, &there)
	if diff := cmp.Diff(known, there); diff != "" {
		t.Error(diff)
	}
}

// static is the example of nixos-nspawn for a network of its own.
const static = `network.veth.config = {
  host.networkConfig = { DHCPServer = false; Address = [ "fc42::1/64" "192.168.42.1/24" ]; };
  container.networkConfig = { DHCP = false; Address = [ "fc42::2/64" "192.168.42.2/24" ]; Gateway = [ "fc42::1" "192.168.42.1" ]; };
};`

// TestEveryKey: services.berth.containers has all keys, and those of the
// schema's examples go through.
func TestEveryKey(t *testing.T) {
	t.Parallel()
	var names []string
	evaluate(t, `builtins.attrNames ((eval { }).options.services.berth.containers.type.getSubOptions [ ])`, &names)
	for _, k := range container.Keys() {
		if !slices.Contains(names, k.Name) {
			t.Errorf("there is no option for the key %s", k.Name)
		}
	}
	got := outcomes(t, []string{full})[0]
	d := parse(t, got)
	golden(t, "testdata/full.json", indented(t, got.Declaration))
	if len(d.Containers) != 3 || len(d.Networks) != 1 || len(got.Refused)+len(got.Warnings) > 0 {
		t.Errorf("%d containers, %d networks; %q %q", len(d.Containers), len(d.Networks), got.Refused, got.Warnings)
	}
}

func indented(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	must(t, json.Indent(&out, text, "", "  "))
	return out.String() + "\n"
}

// full is a host with containers of all kinds.
const full = `{
  services.berth = {
    takeOverContainers = true;
    networks.back = { subnet = "10.20.0.0/24"; isolated = true; };
    containers.web.limits = { memoryMax = "1G"; tasksMax = 500; };
    containers.db = {
      config = { services.nginx.enable = true; };
      privateNetwork = true;
      networks = [ "back" ];
      allowHost = [ "udp/123" 5432 ];
      dependsOn = [ "web" ];
      credentials = [ { id = "token"; path = "/run/keys/token"; } ];
      ingress = [ { host = "db.example.com"; port = 8080; } ];
      labels.tier = "back";
      bindMounts."/data" = { hostPath = "/srv/db"; isReadOnly = false; create = true; };
    };
    containers.plain = { image = "debian:bookworm"; storeAccess = null; };
  };
  containers.web = {
    autoStart = true;
    config = { };
    privateNetwork = true;
    hostAddress = "10.231.136.1";
    localAddress = "10.231.136.2";
    forwardPorts = [ { protocol = "tcp"; hostPort = 8080; containerPort = 80; } ];
  };
}`

// TestHost looks at what else the module does to a host.
func TestHost(t *testing.T) {
	t.Parallel()
	var got struct {
		Units    []string
		Warnings []string
		Exec     string
		Hosts    string
		Firewall map[string]struct {
			TCP []map[string]int `json:"allowedTCPPortRanges"`
			UDP []map[string]int `json:"allowedUDPPortRanges"`
		}
		Trusted  []string
		Settings string
		Idle     []string
		Before   []string
		Kept     []string
		Stale    []string
		Destroy  string
		Programs []string
	}
	evaluate(t, `let c = host { imports = [ (`+full+`) { services.berth.settings.network.subnet = "10.9.0.0/24"; warnings = [ "mine" ]; } ]; }; in {
	  units = builtins.attrNames c.systemd.services;
	  inherit (c) warnings;
	  exec = c.systemd.services.berth-apply.serviceConfig.ExecStart;
	  hosts = c.networking.extraHosts;
	  firewall = c.networking.firewall.interfaces;
	  trusted = (host { services.berth.containers.c = { system = "/a"; allowHost = [ "all" ]; }; }).networking.firewall.trustedInterfaces;
	  settings = c.environment.etc."berth/berth.yaml".text;
	  idle = builtins.attrNames (host { }).systemd.services;
	  before = builtins.attrNames (host { containers.c.path = "/a"; }).systemd.services;
	  kept = (host { services.berth.takeOverContainers = false; containers.c.path = "/a"; boot.enableContainers = false; }).warnings;
	  stale = (host { imports = [ (`+full+`) {
	    systemd.services."container@web" = { serviceConfig.MemoryMax = "1G"; after = [ "container@db.service" ]; };
	    systemd.services.backup = { after = [ "container@web.service" "network.target" ]; before = [ "container@web.service" ]; };
	  } ]; }).warnings;
	  programs = map (p: p.name or "berth") c.environment.systemPackages;
	  destroy = (host { services.berth = { enable = true; removed = "destroy"; adopt = true; }; }).systemd.services.berth-apply.serviceConfig.ExecStart;
	}`, &got)
	is := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	is("units", got.Units, []string{"berth-apply", "berth-autostart", "berth-ingress", "berth-names", "berth@"})
	is("units of a host that declares nothing", got.Idle, []string{})
	is("units of a host that leaves containers to NixOS", got.Before, []string{"container@c"})
	is("warnings", got.Warnings, []string{"mine"})
	is("warnings of what is said of units of NixOS", got.Stale, []string{
		"systemd.services.backup: container@web.service is not there any more; berth@web.service is.",
		`systemd.services."container@web" has no effect: berth runs this container, with services.berth.containers.<name>.limits, and systemd.services."berth@web" with overrideStrategy = "asDropin".`,
	})
	if len(got.Kept) != 1 {
		t.Errorf("what NixOS warns of without berth: %q", got.Kept)
	}
	is("apply", got.Exec, "/nix/store/00000000000000000000000000000000-berth/bin/berth apply --yes --release --file /etc/berth/containers/nixos.json")
	if owner := container.OwnerFile("/etc/berth/containers/nixos.json"); owner != container.OwnerNixOS || !strings.Contains(got.Exec, strings.TrimPrefix(string(owner), "file:")) {
		t.Errorf("the owner %s is not that of what is applied", container.OwnerNixOS)
	}
	is("apply where what is gone is removed", got.Destroy, "/nix/store/00000000000000000000000000000000-berth/bin/berth apply --yes --prune --adopt --file /etc/berth/containers/nixos.json")
	is("programs", slices.Sorted(slices.Values(got.Programs)), []string{"berth", "berth-as-nixos-container"})
	is("hosts", got.Hosts, "10.231.136.2 web.containers\n")
	is("firewall", slices.Sorted(maps.Keys(got.Firewall)), []string{"berth+", "ve-+"})
	is("ports", got.Firewall["berth+"].TCP, []map[string]int{{"from": 5432, "to": 5432}})
	is("ports", got.Firewall["berth+"].UDP, []map[string]int{{"from": 123, "to": 123}})
	is("trusted", got.Trusted, []string{"berth+", "ve-+"})
	if _, err := declare.ParseSettings(strings.NewReader(got.Settings), "berth.yaml"); err != nil {
		t.Error(err)
	}
}
