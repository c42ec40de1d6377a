package build

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

// recorded reads a log that a version of Nix has written.
func recorded(t *testing.T, name string) (*log, []container.Event) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".log")
	if err != nil {
		t.Fatal(err)
	}
	var events []container.Event
	l := newLog(func(e container.Event) { events = append(events, e) })
	l.read(bytes.NewReader(b))
	return l, events
}

// TestFailure has what is left of the errors of two versions of Nix: the same.
func TestFailure(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"eval-throw":     "Failed assertions:\n    - The option is bad.\n    - So is this.",
		"eval-missing":   "PATH' does not provide attribute 'packages.x86_64-linux.nixosConfigurations.none', 'legacyPackages.x86_64-linux.nixosConfigurations.none' or 'nixosConfigurations.none'",
		"eval-undefined": "undefined variable 'foo', at «string»:3:9",
		"eval-syntax":    "syntax error, unexpected '}', at «string»:4:1",
		"eval-nopath":    "file 'nixpkgs/nixos' was not found in the Nix search path (add it using $NIX_PATH or -I)",
		"eval-deep":      "attribute 'b' missing, at DIR/mod.nix:1:27:\n    Did you mean a?",
		"build-failed": "the builder of sys-broken failed with exit code 3, and said last:\n" +
			lines(12, 30) + "    0;titlered",
		"build-dependency": "the builder of inner failed with exit code 4, and said last:\n    hello from inner",
	} {
		for version, dir := range map[string]string{"2.8": "/var/tmp/build-x/rec28", "2.26": "/t/rec226"} {
			l, _ := recorded(t, name+"-"+version)
			got := l.failure(errors.New("exit status 1")).Error()
			got = strings.ReplaceAll(strings.ReplaceAll(got, "flake 'path:"+dir+"/fl", "PATH"), dir, "DIR")
			if name == "eval-nopath" {
				got, _, _ = strings.Cut(got, ", at ")
			}
			if got != want {
				t.Errorf("%s of %s:\n%s\nwant\n%s", name, version, got, want)
			}
		}
	}
	l, _ := recorded(t, "eval-throw-2.8")
	if got := fmt.Sprint(l.marks); got != "[a bad]" {
		t.Errorf("evaluations have begun: %s", got)
	}
}

// lines are those that a builder of the recordings says.
func lines(from, to int) string {
	var b strings.Builder
	for ; from <= to; from++ {
		fmt.Fprintf(&b, "    line %d\n", from)
	}
	return b.String()
}

// TestNewerFailures has errors in the words of Nix 2.31 and of programs that
// did not come to write records.
func TestNewerFailures(t *testing.T) {
	t.Parallel()
	const drv = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-web-1.0.drv"
	for said, want := range map[string]string{
		`@nix {"action":"msg","level":0,"msg":"warning: the group 'nixbld' specified in 'build-users-group' does not exist"}` + "\n" +
			`@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m could not find a flake.nix file","raw_msg":"could not find a flake.nix file"}`: "could not find a flake.nix file",
		`@nix {"action":"start","id":1,"type":105,"fields":["` + drv + `","",1,1],"text":""}` + "\n" +
			`@nix {"action":"result","id":1,"type":101,"fields":["no such file"]}` + "\n" +
			`@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m Cannot build '` + drv + `'.\n       Reason: builder failed with exit code 1.\n       Output paths:\n         /nix/store/x"}`: "the builder of web-1.0 failed with exit code 1, and said last:\n    no such file",
		"error: unrecognised flag '--refresh'\nTry 'nix-instantiate --help' for more information.": "unrecognised flag '--refresh'\n    Try 'nix-instantiate --help' for more information.",
		"":                       "exit status 1",
		"@nix {broken":           "exit status 1",
		strings.Repeat("x", 3e6): "exit status 1",
		"@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"error: a\\u001b]0;x\\u0007 b\"}": "a0;x b",
	} {
		l := newLog(nil)
		l.read(strings.NewReader(said))
		if got := l.failure(errors.New("exit status 1")).Error(); got != want {
			t.Errorf("%.80s: %q, want %q", said, got, want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.8", "2.26"} {
		_, events := recorded(t, "build-"+version)
		var phases []string
		for _, e := range events {
			if n := len(phases); n == 0 || phases[n-1] != e.Phase {
				phases = append(phases, e.Phase)
			}
		}
		if got := fmt.Sprint(phases); got != "[building sys-a building sys-b]" {
			t.Errorf("%s: %s", version, got)
		}
		if last := events[len(events)-1].Detail; last != "2 of 2 built" {
			t.Errorf("%s: at the end %q", version, last)
		}
		_, events = recorded(t, "substitute-"+version)
		if last := events[len(events)-1]; last.Detail != "1 of 1 copied, 0.0 MiB of 0.0 MiB" || last.Phase != "copying sys-a" {
			t.Errorf("%s: at the end %+v", version, last)
		}
	}
}

// TestDetail counts bytes over several downloads, of which Nix knows the sum
// before they begin.
func TestDetail(t *testing.T) {
	t.Parallel()
	l := newLog(nil)
	for _, line := range []string{
		`{"action":"start","id":1,"type":102}`, `{"action":"start","id":2,"type":103}`,
		`{"action":"result","id":2,"type":105,"fields":[0,3,1,0]}`,
		`{"action":"result","id":1,"type":106,"fields":[101,10485760]}`,
		`{"action":"start","id":3,"type":101,"fields":["https://cache/nar/a.nar.xz"]}`,
		`{"action":"result","id":3,"type":105,"fields":[1048576,4194304,0,0]}`,
		`{"action":"stop","id":3}`,
		`{"action":"start","id":4,"type":101,"fields":["https://cache/nar/b.nar.xz"]}`,
		`{"action":"result","id":4,"type":105,"fields":[524288,-7,"x"]}`,
	} {
		l.line([]byte("@nix " + line))
	}
	if got := l.detail(); got != "0 of 3 copied, 1.5 MiB of 10.0 MiB" || l.shown != "downloading b.nar.xz" {
		t.Errorf("%q, %q", got, l.shown)
	}
}

func FuzzLog(f *testing.F) {
	for _, name := range []string{"build-failed-2.8", "eval-deep-2.26", "substitute-2.8"} {
		b, err := os.ReadFile("testdata/" + name + ".log")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLog(func(e container.Event) {
			if strings.ContainsAny(e.Phase+e.Detail, "\x1b\n\r") {
				t.Errorf("%+v", e)
			}
		})
		l.read(bytes.NewReader(b))
		if s := l.failure(errors.New("x")).Error(); strings.ContainsAny(s, "\x1b\r\x07") {
			t.Errorf("%q", s)
		}
	})
}
