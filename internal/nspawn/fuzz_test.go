package nspawn

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

// fields parts an argument as systemd-nspawn does: at colons, with a backslash
// in front of a character that is taken as it is.
func fields(s string) []string {
	var out []string
	var field strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			field.WriteByte(s[i])
		case s[i] == ':':
			out = append(out, field.String())
			field.Reset()
		default:
			field.WriteByte(s[i])
		}
	}
	return append(out, field.String())
}

// FuzzArgs holds that no text of a spec becomes an option of its own, or more
// or fewer fields than it should.
func FuzzArgs(f *testing.F) {
	for _, s := range []string{"", "srv", "a:b", `a\:b`, `\`, `\\`, `\:`, "a b", "--boot", ":ro", "\n", "ä\xff", "+a", "-"} {
		f.Add(s, "x")
		f.Add("x", s)
	}
	plain := Args(example())
	f.Fuzz(func(t *testing.T, a, b string) {
		c := example()
		source, target := "/"+a, "/"+b
		c.Binds = []Bind{{source, target, false}, {target, source, true}}
		c.Spec.Environment = map[string]string{"A": a}
		want := []string{"--bind=" + source + "|" + target, "--bind-ro=" + target + "|" + source}
		if path, err := container.ParsePath(source); err == nil && !strings.Contains(path, ":") {
			c.Spec.Tmpfs = []string{path + ":size=1G"}
			want = append(want, "--tmpfs="+path+"|size=1G")
		}
		var got []string
		environment := false
		for _, arg := range Args(c) {
			option, value, _ := strings.Cut(arg, "=")
			switch {
			case option == "--setenv":
				environment = value == "A="+a
			case slices.Contains(plain, arg):
			default:
				got = append(got, option+"="+strings.Join(fields(value), "|"))
			}
		}
		if !slices.Equal(got, want) || !environment {
			t.Errorf("got  %q\nwant %q\nenvironment: %v", got, want, environment)
		}
	})
}
