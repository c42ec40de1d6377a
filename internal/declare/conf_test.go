package declare

import (
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

const confProfile = "/nix/var/nix/profiles/per-container/web/system"

// parseConf is the container that a file declares, in YAML.
func parseConf(t *testing.T, text string) string {
	t.Helper()
	d, err := ParseConf(strings.NewReader(text), "/etc/nixos-containers/web.conf", "web", confProfile)
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return string(Render("web", d.Spec, false))
}

// sameYAML is a declaration of the container web with these keys, as Render
// writes it.
func sameYAML(t *testing.T, keys string) string {
	t.Helper()
	d, err := ParseYAML(strings.NewReader("containers:\n  web:\n    "+strings.ReplaceAll(keys, "\n", "\n    ")), "")
	if err != nil {
		t.Fatal(err)
	}
	return string(Render("web", d.Containers[0].Spec, false))
}

func TestParseConf(t *testing.T) {
	t.Parallel()
	head := "system: " + confProfile + "\nautoStart: false\nprivateUsers: no"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", head},
		{"as nixos-container makes it", "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\nHOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\n",
			head + "\nprivateNetwork: true\nhostAddress: 10.233.1.1\nlocalAddress: 10.233.1.2"},
		{"as a module makes it",
			"SYSTEM_PATH=/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system\nPRIVATE_NETWORK=1\nHOST_ADDRESS=192.168.100.10\nLOCAL_ADDRESS=192.168.100.11\nHOST_ADDRESS6=fc00::1\nLOCAL_ADDRESS6=fc00::2\n" +
				"HOST_PORT=tcp:8080:80,udp:53:53\nPRIVATE_USERS=pick\nINTERFACES=\"eth1 eth2\"\nMACVLANS=\"eth3\"\nAUTO_START=1\nEXTRA_NSPAWN_FLAGS= --bind=/srv/a:/a --bind-ro=/srv/b:/b --capability=CAP_NET_ADMIN\n",
			"system: /nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system\nprivateNetwork: true\nhostAddress: 192.168.100.10\nlocalAddress: 192.168.100.11\nhostAddress6: fc00::1\nlocalAddress6: fc00::2\n" +
				"interfaces: [eth1, eth2]\nmacvlans: [eth3]\nforwardPorts:\n  - { hostPort: 8080, containerPort: 80 }\n  - { protocol: udp, hostPort: 53, containerPort: 53 }\n" +
				"bindMounts:\n  /a: { hostPath: /srv/a, isReadOnly: false }\n  /b: { hostPath: /srv/b }\nadditionalCapabilities: [CAP_NET_ADMIN]"},
		{"written by hand", "PRIVATE_NETWORK=yes\nHOST_BRIDGE=br-containers\nLOCAL_ADDRESS=10.100.0.30/24\n", head + "\nprivateNetwork: true\nhostBridge: br-containers\nlocalAddress: 10.100.0.30/24"},
		{"no network but a loopback interface", "PRIVATE_NETWORK=1\n", head + "\nprivateNetwork: true\nnetworks: [none]"},
		{"the host's network", "PRIVATE_NETWORK=0\n", head},
		{"a bridge alone", "HOST_BRIDGE=br0\n", head + "\nprivateNetwork: true\nhostBridge: br0"},
		{"a namespace", "NETWORK_NAMESPACE_PATH=/run/netns/vpn\n", head + "\nnetworkNamespace: /run/netns/vpn"},
		{"users by flag", "EXTRA_NSPAWN_FLAGS=-U\n", strings.TrimSuffix(head, "\nprivateUsers: no")},
		{"a base", "PRIVATE_USERS=1000000:65536\n", strings.Replace(head, ": no", ": 1000000", 1)},
		{"identity", "PRIVATE_USERS=0\n", strings.Replace(head, ": no", ": identity", 1)},
		{"hardware address", "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.0.0.1\nLOCAL_ADDRESS=10.0.0.2\nLOCAL_MAC_ADDRESS=02:00:00:00:00:01\n",
			head + "\nprivateNetwork: true\nhostAddress: 10.0.0.1\nlocalAddress: 10.0.0.2\nlocalMacAddress: 02:00:00:00:00:01"},
		{"flags", `EXTRA_NSPAWN_FLAGS=--bind /a\\:b:/c:idmap --tmpfs=/t:size=1M --drop-capability=CAP_SYS_BOOT,CAP_MKNOD --setenv=A=b=c -x --rlimit=RLIMIT_NOFILE=64 --bind=/d/ -j` + "\n",
			head + "\nephemeral: true\nbindMounts:\n  /c: { hostPath: \"/a:b\", isReadOnly: false }\n  /d: { hostPath: /d, isReadOnly: false }\ntmpfs: [\"/t:size=1M\"]\n" +
				"dropCapabilities: [CAP_SYS_BOOT, CAP_MKNOD]\nenvironment: { A: b=c }\nextraFlags: [--rlimit=RLIMIT_NOFILE=64]"},
		{"no resolver of the host's", "COPY_RESOLV_CONF=0\n", head + "\nextraFlags: [--resolv-conf=off]"},
		{"nor of its own network", "COPY_RESOLV_CONF=0\nPRIVATE_NETWORK=1\n", head + "\nprivateNetwork: true\nnetworks: [none]"},
		{"another's keys", "COPY_RESOLV_CONF=1\nSOMETHING=else\nSTORE_ACCESS=host\nNIX_IN_GUEST=daemon\n", "system: " + confProfile + "\nstoreAccess: host\nnixInGuest: daemon\nautoStart: false\nprivateUsers: no"},
	} {
		if got, want := parseConf(t, c.text), sameYAML(t, c.want); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

// TestParseConfErrors: a file that says what berth cannot do, or what would
// reach beyond its value, is refused with the line.
func TestParseConfErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"A=1\nB=\x00\n": "web.conf:2:1: the control character U+0000",
		"\nHOST_ADDRESS=$(reboot)\nLOCAL_ADDRESS=10.0.0.2":                  `web.conf:2:1: hostAddress: "$(reboot)" is not an IPv4 address`,
		"HOST_ADDRESS=10.0.0.1\n":                                           "web.conf:1:1: hostAddress: the guest has no address opposite",
		"HOST_BRIDGE=../x\n":                                                "web.conf:1:1: hostBridge: interface name",
		"HOST_BRIDGE=br0\nLOCAL_ADDRESS=10.0.0.2\nHOST_PORT=tcp:80:80:80\n": `web.conf:3:1: forwardPorts: "tcp:80:80:80" does not have the form`,
		"HOST_BRIDGE=br0\nLOCAL_ADDRESS=10.0.0.2\nHOST_PORT=sctp:80\n":      "web.conf:3:1: forwardPorts[0].protocol",
		"SYSTEM_PATH=\"/nix/store/a\nb\"\n":                                 "web.conf:1:1: system:",
		"PRIVATE_USERS=7\n":                                                 "web.conf:1:1: privateUsers: base 7 is outside",
		"EXTRA_NSPAWN_FLAGS=--directory=/\n":                                "web.conf:1:1: extraFlags[0]: --directory is not for extraFlags",
		"EXTRA_NSPAWN_FLAGS=--bind\n":                                       "web.conf:1:1: extraFlags: --bind needs a value",
		"EXTRA_NSPAWN_FLAGS=--bind=+/a:/b\n":                                "web.conf:1:1: bindMounts:",
		"EXTRA_NSPAWN_FLAGS=--bind=/a:/b:rootowner\n":                       `web.conf:1:1: bindMounts: the option "rootowner"`,
		"EXTRA_NSPAWN_FLAGS=/bin/sh\n":                                      "web.conf:1:1: extraFlags[0]: systemd-nspawn would take",
		"STORE_ACCESS=all\n":                                                `web.conf:1:1: storeAccess: "all" is neither closure nor host`,
		"NIX_IN_GUEST=1\n":                                                  `web.conf:1:1: nixInGuest: "1" is none of none, daemon and own`,
		"NIX_IN_GUEST=own\nSTORE_ACCESS=host\n":                             "own is a store of the guest's upon its closure",
	} {
		_, err := ParseConf(strings.NewReader(text), "web.conf", "web", confProfile)
		if err == nil || !strings.Contains(err.Error(), want) || container.CodeOf(err) != container.CodeUsage {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// FuzzParseConf: whatever such a file says, what comes of it is a declaration
// that can be written and read again, or an error.
func FuzzParseConf(f *testing.F) {
	for _, s := range []string{"PRIVATE_NETWORK=1\nHOST_PORT=tcp:1:2", "EXTRA_NSPAWN_FLAGS=--bind a:b -U -p 1:2", "PRIVATE_USERS=0", "INTERFACES='a b'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseConf(strings.NewReader(text), "web.conf", "web", confProfile)
		if err != nil {
			return
		}
		yaml := Render("web", d.Spec, false)
		if _, err := ParseYAML(strings.NewReader(string(yaml)), ""); err != nil {
			t.Errorf("%q became\n%s\n%v", text, yaml, err)
		}
	})
}
