package build

import (
	"slices"
	"testing"
)

func TestHasDefinitions(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"a.b = 1;":                             true,
		"a = 1; # done }":                      true,
		"a = 1; /* } */\n# x\n":                true,
		"a = ''x; '' + \"}\";":                 true,
		"a = ''it'''s ''${x} ''\\n } '';":      true,
		`a = "\"};";`:                          true,
		`a = "${f "x"};" ;`:                    true,
		"{ a = 1; }":                           false,
		"{ pkgs, ... }: { a = 1; }":            false,
		"let a = 1; in { } # ;":                false,
		"./module.nix":                         false,
		"args: { a = ''unterminated; ":         false,
		"{ a = \"unterminated;":                false,
		"{ } /* unterminated;":                 false,
		"":                                     false,
		"{ a = 1; }\n# services.x.y = true;\n": false,
	} {
		if got := hasDefinitions(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzHasDefinitions(f *testing.F) {
	f.Add("a = ''${\"x\"}'';")
	f.Fuzz(func(_ *testing.T, s string) { hasDefinitions(s) })
}

func TestFlags(t *testing.T) {
	t.Parallel()
	f, err := ParseFlags([]string{"--option", "cores", "2", "--impure", "--override-input", "nixpkgs", "path:/x", "-I", "a=b", "--refresh", "--max-jobs", "3", "--log-format", "raw"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want []string }{
		{f.flake(), []string{"--option", "cores", "2", "--impure", "--override-input", "nixpkgs", "path:/x", "-I", "a=b", "--refresh"}},
		{f.module(), []string{"--option", "cores", "2", "--impure", "-I", "a=b", "--option", "tarball-ttl", "0"}},
		{f.build(), []string{"--option", "cores", "2", "--option", "tarball-ttl", "0", "--max-jobs", "3"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for _, bad := range [][]string{{"--exec"}, {"--option", "a"}, {"x"}, {"--impure", "y"}} {
		if _, err := ParseFlags(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	if got := text("a\"b\\c${d}\n"); got != `"a\"b\\c\${d}\n"` {
		t.Error(got)
	}
}
