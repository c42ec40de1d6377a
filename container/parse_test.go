package container

import (
	"slices"
	"strings"
	"testing"
)

// cases are texts that a parser takes, each with what it makes of it, and
// texts that it refuses.
type cases struct {
	parse func(string) (string, error)
	takes map[string]string
	not   []string
}

// text makes a parser of a text type comparable.
func text[T ~string](parse func(string) (T, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		t, err := parse(s)
		return string(t), err
	}
}

// shown makes a parser of a type with a String method comparable.
func shown[T interface{ String() string }](parse func(string) (T, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		t, err := parse(s)
		return t.String(), err
	}
}

// same are texts that a parser keeps as they are.
func same(texts ...string) map[string]string {
	m := map[string]string{}
	for _, s := range texts {
		m[s] = s
	}
	return m
}

func with(m map[string]string, from, to string) map[string]string {
	m[from] = to
	return m
}

func TestParse(t *testing.T) {
	t.Parallel()
	address := func(f Family) func(string) (string, error) {
		return func(s string) (string, error) { return ParseAddress(s, f) }
	}
	hash := strings.Repeat("0f", 32)
	for name, c := range map[string]cases{
		"name": {text(ParseName), same("a", "web-1", "Web_2", "7", strings.Repeat("a", 63)),
			[]string{"", "-a", "a-", "_a", "a_", "a.b", "a b", "ä", "a/b", "a\n", strings.Repeat("a", 64)}},
		"capability": {text(ParseCapability), same("CAP_NET_ADMIN", "all"), []string{"", "NET_ADMIN", "cap_net_admin", "CAP_FLY"}},
		"image": {shown(ParseImageRef), with(same("dir:/a", "tar:/a b.tar", "debian:bookworm"), "dir:/a/../b/", "dir:/b"),
			[]string{"", "a", "dir:", "dir:a", "tar:./a", "debian:jessie", "oci:x", ":x", "dir:/a\nb", "tar:/\x00"}},
		"digest": {text(ParseDigest), with(same("sha256:"+hash), hash, "sha256:"+hash),
			[]string{"", "sha256:", hash[2:], strings.ToUpper(hash), "sha512:" + hash}},
		"users": {shown(ParsePrivateUsers), same("pick", "no", "identity", "65536", "4294836224"),
			[]string{"", "yes", "0", "1000", "65535", "4294836225", "4294967296", "-1", "0x80000"}},
		"duration": {shown(ParseDuration), map[string]string{"90": "90s", "1min 30s": "90s", "2h": "2h", "infinity": "infinity",
			"1d": "24h", "1500ms": "1500ms", "5 us": "5us", "0": "0s", " 1s ": "1s"},
			[]string{"", " ", "s", "1.5s", "-1s", "1 fortnight", "99999999999999999999", "9999999999d", "1s;", "１s"}},
		"bytes": {shown(ParseBytes), map[string]string{"512M": "512M", "1024M": "1G", "1073741825": "1073741825", "0": "0", "3T": "3T"},
			[]string{"", "M", "-1", "1.5G", "512MB", "512m", "1 G", "99999999T", "+1"}},
		"percent": {shown(ParsePercent), same("1%", "150%"), []string{"", "%", "0%", "50", "-5%", "1.5%", "99999999%"}},
		"interface": {text(ParseInterface), same("eth0", "enp3s0.12", "a@b", strings.Repeat("x", 15)),
			[]string{"", ".", "..", "a/b", "a b", "a:b", "a\tb", strings.Repeat("x", 16)}},
		"MAC": {text(ParseMAC), with(same("02:00:00:00:00:01"), "02:AB:CD:EF:00:01", "02:ab:cd:ef:00:01"),
			[]string{"", "02:00:00:00:00", "02-00-00-00-00-01", "0200.0000.0001", "03:00:00:00:00:01", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:00:00:01"}},
		"IPv4": {address(IPv4), same("10.0.0.1", "10.0.0.1/24", "10.0.0.1/32"),
			[]string{"", "10.0.0", "10.0.0.256", "010.0.0.1", "::1", "10.0.0.1/0", "10.0.0.1/33", "10.0.0.1/", "/24", "fd00::1/64", "0.0.0.0", "127.0.0.1", "127.0.0.1/8", "224.0.0.1"}},
		"IPv6": {address(IPv6), with(same("fd00::1", "fd00::1/64", "fe80::1"), "FD00:0::1", "fd00::1"),
			[]string{"", "::", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:10.0.0.1/96", "10.0.0.1", "10.0.0.1/24", "fd00::1/129", "ff02::1"}},
		"listen": {ParseListenAddress, same("0.0.0.0", "127.0.0.1", "::", "::1"), []string{"", "localhost", "::1%lo", "10.0.0.1/8", "::ffff:1.2.3.4", "fe80::1"}},
		"path":   {ParsePath, same("/", "/a", "/a b:c", "/ä"), []string{"", "a", "./a", "/a/", "//a", "/a/../b", "/a/.", "/a\n", "/a\xff", "/a\x00", "/" + strings.Repeat("a", 4095)}},
		"mount point": {ParseMountPoint, same("/srv", "/run/x", "/process", "/devel", "/dev/dri", "/a:b"),
			[]string{"/", "/proc", "/proc/x", "/sys/fs", "/dev", "/dev/pts", "/dev/shm/x", "/run", "/run/host", "/run/host/x", "srv"}},
		"tmpfs": {ParseTmpfs, same("/tmp", "/tmp:size=1G,mode=0755"), []string{"", "tmp", "/tmp:", "/tmp:a b", "/tmp:a:b", "/dev/shm", ":size=1G"}},
		"device": {ParseDeviceNode, same("/dev/fuse", "/dev/dri/card0", "char-usb_device", "block-*"),
			[]string{"", "fuse", "/dev", "/dev/", "/dev/../etc", "/etc/x", "char-", "char-a b", "usb-x"}},
		"variable":    {ParseVariable, same("A", "_a", "A1_b"), []string{"", "1A", "A-B", "A=B", "Ä", "A B"}},
		"label":       {ParseLabel, same("a", "example.org/a-b_c", "1"), []string{"", "a b", "a=b", "ä"}},
		"line":        {ParseLine, same("", "a b", "ä\t"), []string{"a\nb", "\r", "\x00", "\x1b[0m"}},
		"credential":  {ParseCredentialID, same("token", "a.b", "ssh_key-1", "a@b"), []string{"", ".", "..", "a/b", "a b", "ä", strings.Repeat("a", 256)}},
		"system call": {ParseSystemCall, same("mount", "~mount", "@keyring", "~@keyring"), []string{"", "~", "@", "~~a", "@@a", "@~a", "a b", "Mount"}},
		"modifier":    {ParseModifier, same("r", "rw", "mwr"), []string{"", "x", "rr", "rwx", "R"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for in, want := range c.takes {
				if got, err := c.parse(in); err != nil || got != want {
					t.Errorf("%q is %q (%v), not %q", in, got, err, want)
				}
				if again, err := c.parse(want); err != nil || again != want {
					t.Errorf("%q does not stay as it is: %q (%v)", want, again, err)
				}
			}
			for _, in := range c.not {
				if got, err := c.parse(in); err == nil {
					t.Errorf("%q is taken, as %q", in, got)
				}
			}
		})
	}
}

// FuzzParse holds that what is parsed is written as what parses to the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"1min 30s", "512M", "150%", "dir:/a/../b", "65536", "10.0.0.1/24", "fd00::1/64", "02:AB:00:00:00:01", "/tmp:size=1G", "char-a"} {
		f.Add(s)
	}
	parsers := []func(string) (string, error){
		shown(ParseDuration), shown(ParseBytes), shown(ParsePercent), shown(ParseImageRef), shown(ParsePrivateUsers),
		text(ParseName), text(ParseDigest), ParseMAC, ParsePath, ParseTmpfs, ParseDeviceNode,
		func(s string) (string, error) { return ParseAddress(s, IPv4) },
		func(s string) (string, error) { return ParseAddress(s, IPv6) },
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, parse := range parsers {
			once, err := parse(s)
			if err != nil {
				continue
			}
			if twice, err := parse(once); err != nil || twice != once {
				t.Errorf("parser %d: %q is %q, which is %q (%v)", i, s, once, twice, err)
			}
		}
	})
}

func TestCycle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dependsOn map[Name][]Name
		want      string
	}{
		{nil, ""},
		{map[Name][]Name{"a": {"b", "c"}, "b": {"c"}, "c": nil}, ""},
		{map[Name][]Name{"a": {"a"}}, "a a"},
		{map[Name][]Name{"x": {"b"}, "b": {"c"}, "c": {"b"}}, "b c b"},
		{map[Name][]Name{"a": {"missing"}}, ""},
	} {
		var got []string
		for _, n := range Cycle(c.dependsOn) {
			got = append(got, string(n))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v: %q, not %q", c.dependsOn, s, c.want)
		}
	}
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	s := DefaultSpec()
	if got := Unsupported(s); len(got) != 0 {
		t.Errorf("of the defaults: %v", got)
	}
	s.Image = ImageRef{ImageDebian, "bookworm"}
	s.Ephemeral, s.HostBridge, s.Flake = true, "br0", "."
	var want []string
	for _, k := range Keys() {
		changed := slices.Contains([]string{"image", "ephemeral", "hostBridge", "flake"}, k.Name)
		if changed && !k.Live {
			want = append(want, k.Name)
		}
	}
	if got := Unsupported(s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
