package container

import (
	"strings"
	"testing"
)

func TestParseStorePath(t *testing.T) {
	t.Parallel()
	const hash = "0123456789abcdfghijklmnpqrsvwxyz"
	for _, s := range []string{"/nix/store/" + hash + "-a", "/nix/store/" + hash + "-nixos-system-web-24.11?+=_", "/nix/store/" + hash + "-" + strings.Repeat("n", 211)} {
		p, err := ParseStorePath(s)
		if err != nil || string(p) != s || "/nix/store/"+p.Base() != s {
			t.Errorf("%s: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"":                               "not below /nix/store",
		hash + "-a":                      "not below /nix/store",
		"/gnu/store/" + hash + "-a":      "not below /nix/store",
		"/nix/store":                     "not below /nix/store",
		"/nix/store/":                    "a hash of 32 characters",
		"/nix/store/" + hash:             "a hash of 32 characters",
		"/nix/store/" + hash + "-":       "its name has",
		"/nix/store/" + hash[1:] + "-a":  "a hash of 32 characters",
		"/nix/store/e" + hash[1:] + "-a": "a hash of 32 characters",
		"/nix/store/" + hash + "-a/init": "its name has",
		"/nix/store/" + hash + "-a/../" + hash + "-b":         "its name has",
		"/nix/store/../" + hash + "-a":                        "a hash of 32 characters",
		"/nix/store/" + hash + "-a\n":                         "its name has",
		"/nix/store/" + hash + "-ä":                           "its name has",
		"/nix/store/" + hash + "-" + strings.Repeat("n", 212): "its name has",
	} {
		if p, err := ParseStorePath(s); err == nil || p != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", s, p, err)
		}
	}
	if got := StorePath("/nix/store/" + hash + "-nixos-system-a").Short(); got != "nixos-system-a (0123456)" {
		t.Errorf("short: %s", got)
	}
}

func FuzzParseStorePath(f *testing.F) {
	f.Add("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseStorePath(s); err == nil && (strings.Count(s, "/") != 3 || p.Base() == "." || p.Base() == ".." || p.Short() == "") {
			t.Errorf("%q", s)
		}
	})
}

func TestParseCachedSystem(t *testing.T) {
	t.Parallel()
	const hash = "0c9dpbqv2vkmcsf9djzdjwkcglfpzzdr"
	for text, want := range map[string]CachedSystem{
		"cache+https://cache.example.com/" + hash + "-nixos-system-web-24.11": {"https://cache.example.com", hash + "-nixos-system-web-24.11"},
		"cache+http://user:word@example.com:8080/a/b/" + hash:                 {"http://user:word@example.com:8080/a/b", hash},
		"cache+file:///srv/cache/" + hash + "-web":                            {"file:///srv/cache", hash + "-web"},
		"cache+file:///" + hash:                                               {"file:///", hash},
		"cache+s3://bucket/" + hash + "?region=eu-west-1":                     {"s3://bucket?region=eu-west-1", hash},
	} {
		got, err := ParseCachedSystem(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if p := StorePath("/nix/store/" + hash + "-nixos-system-web-24.11"); got.Is(p) != (want.Name == hash || want.Name == p.Base()) || got.Is("") {
			t.Errorf("%s is wrong about %s", text, p)
		}
	}
	for _, text := range []string{
		"", "cache+", "/nix/store/" + hash + "-web", "cache+/srv/cache/" + hash, "cache+ftp://example.com/" + hash, "cache+https:///" + hash, "cache+https://example.com",
		"cache+https://example.com/" + hash + ".narinfo", "cache+https://example.com/" + hash + "-", "cache+https://example.com/" + hash + "-a%20b", "cache+file://srv/" + hash,
		"cache+https://example.com/" + hash + "-a#b", "cache+https://example.com/nar/../" + hash[1:], "cache+https:" + hash,
	} {
		if got, err := ParseCachedSystem(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
