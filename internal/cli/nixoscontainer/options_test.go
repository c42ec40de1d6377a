package nixoscontainer

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestParse has what Perl's Getopt::Long makes of the same words.
func TestParse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]options{
		"":                                         {},
		"create web":                               {args: []string{"create", "web"}},
		"--flake .#demo create demo":               {flake: ".#demo", args: []string{"create", "demo"}},
		"create --bridge br0 web":                  {bridge: "br0", args: []string{"create", "web"}},
		"create web -bridge br0":                   {bridge: "br0", args: []string{"create", "web"}},
		"create web --br br0":                      {bridge: "br0", args: []string{"create", "web"}},
		"create web --BRIDGE br0":                  {bridge: "br0", args: []string{"create", "web"}},
		"create web --bridge=br0":                  {bridge: "br0", args: []string{"create", "web"}},
		"--host-address= --local-address=":         {},
		"--bridge --config":                        {bridge: "--config"},
		"--config -- x":                            {config: "--", args: []string{"x"}},
		"-- --bridge a":                            {args: []string{"--bridge", "a"}},
		"run web -- ls -l --help":                  {args: []string{"run", "web", "ls", "-l", "--help"}},
		"run web ls - x":                           {args: []string{"run", "web", "ls", "-", "x"}},
		"--ensure x --auto":                        {unique: true, autoStart: true, args: []string{"x"}},
		"--signal TERM stop web":                   {args: []string{"stop", "web"}},
		"--option a b c --impure --log-format raw": {nix: []string{"--option", "a", "b", "--impure", "--log-format", "raw"}, args: []string{"c"}},
		"--override-input nixpkgs /n --update-input x --no-write-lock-file": {nix: []string{"--override-input", "nixpkgs", "/n", "--update-input", "x", "--no-write-lock-file"}},
		"--config-f f":               {configFile: "f"},
		"--config f":                 {config: "f"},
		"--help":                     {help: true},
		"start --no-such --help web": {help: true},
		"--help --no-such":           {help: true},
	} {
		got, err := parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		got.given = nil
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v, want %+v", line, *got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"run web ls -l":          `option "l" may be any of local-address, log-format`,
		"run web ls -Z":          `unknown option "z"`,
		"--bridge":               "option bridge needs a value",
		"--option a":             "option option needs two values",
		"-bridge=x":              `unknown option "bridge=x"`,
		"--ensure-unique-name=1": "option ensure-unique-name does not take a value",
		"--conf x":               `option "conf" may be any of config, config-file`,
		"--no-impure":            `unknown option "no-impure"`,
		"--=x":                   `unknown option ""`,
		"--no-such -- --help":    `unknown option "no-such"`,
	} {
		if _, err := parse(strings.Fields(line)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for line, well := range map[string]bool{
		"--host-address= --local-address=": true,
		"--host-address 10.0.0.1":          false,
		"--local-address 10.0.0.2":         false,
		"--config x --config-file y":       false,
		"--flake x --config-file y":        true, // the flake counts
	} {
		o, err := parse(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.check(); (err == nil) != well {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestQuoted(t *testing.T) {
	t.Parallel()
	if got := quoted([]string{"a", "", "b c", "it's", "$x"}); got != `'a' '' 'b c' 'it'\''s' '$x'` {
		t.Error(got)
	}
}

// TestUsage: all options are in the help.
func TestUsage(t *testing.T) {
	t.Parallel()
	silent := []string{"help", "signal"}
	for _, o := range known() {
		if !slices.Contains(silent, o.name) && !strings.Contains(usage, "--"+o.name) {
			t.Errorf("--%s is not in the help", o.name)
		}
	}
	for verb := range actions() {
		if !strings.Contains(usage, " "+verb) {
			t.Errorf("%s is not in the help", verb)
		}
	}
}
