package declare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

func parse(t *testing.T, text string) *Declaration {
	t.Helper()
	d, err := ParseYAML(strings.NewReader(text), "/dir/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeclaration(t *testing.T) {
	t.Parallel()
	d := parse(t, `containers:
  web:
    image: dir:./rootfs
    limits: { memoryMax: 1G }
    bindMounts:
      /srv/www: { hostPath: ./www }
    tmpfs:
      - /tmp
  db: { image: "debian:bookworm" }
`)
	if d.Path != "/dir/berth.yaml" || d.Owner != "file:/dir/berth.yaml" {
		t.Errorf("path %q, owner %q", d.Path, d.Owner)
	}
	if len(d.Containers) != 2 || d.Containers[0].Name != "web" || d.Containers[1].Name != "db" {
		t.Fatalf("containers: %+v", d.Containers)
	}
	web := d.Containers[0]
	want := container.DefaultSpec()
	want.AutoStart = true
	want.Image = container.ImageRef{Kind: container.ImageDir, Arg: "/dir/rootfs"}
	want.Limits.MemoryMax = 1 << 30
	want.BindMounts = map[string]container.BindMount{"/srv/www": {HostPath: "/dir/www", IsReadOnly: true}}
	want.Tmpfs = []string{"/tmp"}
	if diff := cmp.Diff(want, web.Spec); diff != "" {
		t.Error(diff)
	}
	for key, at := range map[string]string{
		"image": "3:12", "limits": "4:13", "limits.memoryMax": "4:26", "bindMounts": "6:7",
		"bindMounts./srv/www": "6:17", "bindMounts./srv/www.hostPath": "6:29", "tmpfs": "8:7", "tmpfs[0]": "8:9",
	} {
		if got := web.KeyPos[key].String(); got != "/dir/berth.yaml:"+at {
			t.Errorf("%s is at %s, not at %s", key, got, at)
		}
	}
	if got := web.Pos.String(); got != "/dir/berth.yaml:2:3" {
		t.Errorf("web is at %s", got)
	}
}

func TestStandardInput(t *testing.T) {
	t.Parallel()
	d, err := ParseYAML(strings.NewReader("containers: { web: { image: 'dir:.' } }"), "")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if d.Path != "" || d.Owner != container.OwnerCLI || d.Containers[0].Spec.Image.Arg != here {
		t.Errorf("%+v", d)
	}
	_, err = ParseYAML(strings.NewReader("containers:"), "")
	if err == nil || err.Error() != "<stdin>:1:12: containers: no value is given" {
		t.Error(err)
	}
}

// TestTypes holds what YAML makes of a value and what the keys make of that.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, want string }{
		{"privateUsers: no", "privateUsers: no"},
		{`privateUsers: "no"`, "privateUsers: no"},
		{"privateUsers: 0x80000", "privateUsers: 524288"},
		{"timeoutStartSec: 120", "timeoutStartSec: 2min"},
		{"timeoutStartSec: 1h 30min", "timeoutStartSec: 90min"},
		{"limits: { memoryMax: 1073741824 }", "memoryMax: 1G"},
		{`limits: { memoryMax: "1073741825" }`, "memoryMax: 1073741825"},
		{"limits: { tasksMax: 0o17 }", "tasksMax: 15"},
		{"ephemeral: TRUE", "ephemeral: true"},
		{"labels: { 1: a }", `"1": a`},
		{"labels: { a: 2026-11-20 }", `a: '2026-11-20'`},
		{"labels: { a: 1_000 }", `a: '1_000'`},
		{"environment: { A: &x text, B: *x }", "B: text"},
		{"environment: { A: |-\n      text\n      }", ""},
	} {
		d, err := ParseYAML(strings.NewReader("containers:\n  a:\n    image: debian:bookworm\n    "+c.line), "/b.yaml")
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: no error", c.line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		got := string(Render("a", d.Containers[0].Spec, false))
		if plain := strings.ReplaceAll(got, `"`, ""); !strings.Contains(plain, strings.ReplaceAll(c.want, `"`, "")) {
			t.Errorf("%s: not %q in\n%s", c.line, c.want, got)
		}
	}
}

// TestHostile holds that small texts cannot make much work.
func TestHostile(t *testing.T) {
	t.Parallel()
	many := func(s string) string { return strings.Repeat(s, (1<<20-200)/len(s)) }
	var keys strings.Builder
	for i := 0; keys.Len() < 1<<20-200; i++ {
		fmt.Fprintf(&keys, "    imagd%d: 1\n", i)
	}
	for name, text := range map[string]string{
		"lists":        many("["),
		"maps":         many("{a: "),
		"items":        many("- "),
		"keys":         many("? "),
		"documents":    many("---\n"),
		"quotes":       many(`"`),
		"same key":     many("a:\n"),
		"unknown keys": "containers:\n  web:\n" + keys.String(),
		"names":        "containers:\n" + strings.ReplaceAll(keys.String(), ": 1", ": {}"),
		"unknown dependencies": "containers:\n  web: { image: debian:trixie, dependsOn: [" +
			strings.ReplaceAll(strings.ReplaceAll(keys.String(), ": 1\n", ","), " ", "") + "] }",
		"aliases": "x-a: &a [" + strings.Repeat("1,", 1000) + "]\nx-b: [" + strings.Repeat("*a,", 100_000) + "]\ncontainers: {}\n",
		"large":   many("#") + many("#"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := ParseYAML(strings.NewReader(text), "/dir/berth.yaml")
			var ps *Problems
			if !errors.As(err, &ps) || len(ps.List) > MaxProblems {
				t.Errorf("%v", err)
			}
			checkProblems(t, err)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const web = "containers:\n  web: { image: debian:trixie, dependsOn: [db] }\n"
	const db = `{ "containers": { "db": { "image": "debian:trixie" } } }`
	write("good/b.yaml", web)
	write("good/a.json", db)
	write("good/.hidden.yaml", "not: [a")
	write("good/notes.txt", "not: [a")
	write("good/sub.yaml/c.yaml", web)
	write("twice/a.yml", web+"  db: { image: debian:trixie }\n")
	write("twice/b.json", db)
	write("empty/notes.txt", "")
	write("broken/a.yaml", "containers: [")
	write("broken/b.yaml", "containers:\n  a: { imag: x }\n")

	all, err := Loader{}.Load(filepath.Join(dir, "good"), filepath.Join(dir, "good/b.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Containers[0].Name != "db" || all[1].Containers[0].Name != "web" {
		t.Errorf("%+v", all)
	}
	for _, c := range []struct {
		paths []string
		want  string
		is    error
	}{
		{[]string{"twice"}, "DIR/twice/b.json:1:19: containers.db: this container is already declared at DIR/twice/a.yml:3:3", nil},
		{[]string{"good/b.yaml"}, `DIR/good/b.yaml:2:44: containers.web.dependsOn[0]: no container "db" is declared`, nil},
		{[]string{"empty"}, "DIR/empty: no *.yaml, *.yml or *.json file, berth.nix or flake.nix in this directory", ErrNoDeclaration},
		{[]string{"missing"}, "DIR/missing: no such file or directory", fs.ErrNotExist},
		{[]string{"broken"}, "DIR/broken/a.yaml:2:1: a value is expected here\n" +
			`DIR/broken/b.yaml:2:8: containers.a.imag: unknown key; did you mean "image"?`, nil},
	} {
		for i := range c.paths {
			c.paths[i] = filepath.Join(dir, c.paths[i])
		}
		_, err := Loader{}.Load(c.paths...)
		if err == nil {
			t.Errorf("%v: no error", c.paths)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != c.want {
			t.Errorf("%v:\ngot  %s\nwant %s", c.paths, got, c.want)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%v: not %v", err, c.is)
		}
		if container.CodeOf(err) != container.CodeUsage {
			t.Errorf("%v: code %v", err, container.CodeOf(err))
		}
	}
}
