package declare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

// tree is what Nix says of a declaration, with 'at' for a place in the file /d/berth.nix.
func tree(s string) []byte {
	s = strings.ReplaceAll(s, `'`, `"`)
	for line := 1; strings.Contains(s, "@"); line++ {
		s = strings.Replace(s, "@", fmt.Sprintf(`"p":["/d/berth.nix",%d,3]`, line), 1)
	}
	return []byte(s)
}

func TestParseNix(t *testing.T) {
	t.Parallel()
	const drv = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-system.drv"
	p := &parser{file: Position{File: "berth.nix"}}
	d := p.parseNix("berth.nix", Evaluated{File: "/d/berth.nix", Tree: tree(`{'m':[{'k':'x-any',@,'v':{'v':null}},{'k':'containers',@,'v':{'m':[
		{'k':'web',@,'v':{'m':[{'k':'config',@,'v':{'d':'` + drv + `'}},{'k':'ephemeral','p':null,'v':{'v':true}},{'k':'limits',@,'v':{'m':[{'k':'tasksMax',@,'v':{'v':64}}]}},
			{'k':'tmpfs',@,'v':{'l':[{'v':'/scratch'}]}},{'k':'bindMounts',@,'v':{'m':[{'k':'/data',@,'v':{'m':[{'k':'hostPath',@,'v':{'v':'./data'}}]}}]}}]}},
		{'k':'text',@,'v':{'m':[{'k':'config',@,'v':{'v':'a = 1;'}}]}}]}}]}`)})
	if err := problemsOf(p.problems); err != nil {
		t.Fatal(err)
	}
	if d.Owner != "file:/d/berth.nix" || len(d.Containers) != 2 {
		t.Fatalf("%+v", d)
	}
	s := d.Containers[0].Spec
	if s.System != drv || s.Config != "" || !s.Ephemeral || s.Limits.TasksMax != 64 || s.Tmpfs[0] != "/scratch" || s.BindMounts["/data"].HostPath != "/d/data" || !s.AutoStart {
		t.Errorf("%+v", s)
	}
	if s := d.Containers[1].Spec; s.Config != "a = 1;" || s.System != "" {
		t.Errorf("%+v", s)
	}
	if pos := d.Containers[0].KeyPos["limits.tasksMax"]; pos.String() != "berth.nix:6:3" {
		t.Errorf("the limit is at %v", pos)
	}
}

func TestParseNixProblems(t *testing.T) {
	t.Parallel()
	e := Evaluated{File: "/d/flake.nix", Stored: "/nix/store/x-source", Dir: "/d"}
	container := func(keys string) string {
		return `{'m':[{'k':'containers',@,'v':{'m':[{'k':'web',@,'v':{'m':[` + keys + `]}}]}}]}`
	}
	for s, want := range map[string]string{
		container(`{'k':'imag',@,'v':{'v':'debian:trixie'}}`):                                                `/d/berth.nix:3:3: containers.web.imag: unknown key; did you mean "image"?`,
		container(`{'k':'image','p':null,'v':{'v':7}}`):                                                      "/d/berth.nix:2:3: containers.web.image: expected an image such as debian:bookworm, got the number 7",
		container(`{'k':'image',@,'v':{'f':true}}`):                                                          "/d/berth.nix:3:3: containers.web.image: a function cannot stand here",
		container(`{'k':'image',@,'v':{'v':null}}`):                                                          "/d/berth.nix:3:3: containers.web.image: no value is given",
		container(`{'k':'config',@,'v':{'d':'/nix/store/x.drv'}},{'k':'image',@,'v':{'v':'debian:trixie'}}`): "/d/berth.nix:3:3: containers.web.config: image and config are given",
		container(`{'k':'image','p':['/nix/store/x-source/sub/a.nix',4,5],'v':{'v':1.5}}`):                   "/d/sub/a.nix:4:5: containers.web.image: expected an image such as debian:bookworm, got the number 1.5",
		container(`{'k':'image','p':['/nix/store/x-source/flake.nix',4,5],'v':{'v':false}}`):                 "flake.nix:4:5: containers.web.image: expected an image such as debian:bookworm, got the boolean false",
		`{'l':[]}`:                     "flake.nix: expected a map with the key containers, got a list",
		`{'m':[]}`:                     "flake.nix: the key containers is missing",
		`{'m':[{'k':'containers','v'}`: "flake.nix: what Nix says of it cannot be read",
		`{'l':[` + strings.Repeat(`{'v':1},`, maxValues) + `{'v':1}]}`: "flake.nix: more than 50000 values",
	} {
		p := &parser{file: Position{File: "flake.nix"}}
		e.Tree = tree(s)
		p.parseNix("flake.nix", e)
		if err := problemsOf(p.problems); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.200s: %v, want %s", s, err, want)
		}
	}
}

func TestLoadNix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"both/berth.nix", "both/module.nix", "flake/flake.nix", "yaml/flake.nix", "yaml/a.yaml"} {
		path := filepath.Join(dir, name)
		text := map[bool]string{true: "containers: { yaml: { image: debian:trixie } }"}[filepath.Ext(name) == ".yaml"]
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	l := Loader{Nix: func(from string) (Evaluated, error) {
		if strings.Contains(from, "bad") {
			return Evaluated{}, &container.Error{Err: errors.New("cannot be evaluated")}
		}
		name := strings.NewReplacer("/", "", ".", "", ":", "").Replace(strings.TrimPrefix(from, dir))
		file := from
		if !filepath.IsAbs(from) {
			file = ""
		}
		return Evaluated{File: file, Tree: tree(`{'m':[{'k':'containers',@,'v':{'m':[{'k':'` + name + `',@,'v':{'m':[{'k':'image',@,'v':{'v':'debian:trixie'}}]}}]}}]}`)}, nil
	}}
	for path, want := range map[string]string{
		dir + "/both": "bothberthnix file:" + dir + "/both/berth.nix", dir + "/flake": "flakeflakenix file:" + dir + "/flake/flake.nix",
		dir + "/yaml": "yaml file:" + dir + "/yaml/a.yaml", dir + "/both/module.nix": "bothmodulenix file:" + dir + "/both/module.nix",
		"github:a/b": "githubab flake:github:a/b",
	} {
		all, err := l.Load(path)
		if err != nil || len(all) != 1 {
			t.Errorf("%s: %v, %v", path, all, err)
		} else if got := fmt.Sprint(all[0].Containers[0].Name, " ", all[0].Owner); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if _, err := l.Load("github:bad/one"); err == nil || err.Error() != "cannot be evaluated" {
		t.Errorf("%v", err)
	}
	if _, err := (Loader{}).Load(dir + "/flake"); err == nil {
		t.Error("Nix is not needed")
	}
}

func FuzzParseNix(f *testing.F) {
	f.Add(tree(`{'m':[{'k':'containers',@,'v':{'m':[{'k':'web',@,'v':{'m':[{'k':'tmpfs','p':null,'v':{'l':[{'v':'/x'}]}}]}}]}}]}`))
	f.Add(tree(`{'m':[{'k':'containers','p':[1,'x'],'v':{'d':'x'}}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		p := &parser{file: Position{File: "f"}}
		p.parseNix("f", Evaluated{File: "/f", Tree: b})
		_ = problemsOf(p.problems)
	})
}
