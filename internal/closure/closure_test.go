package closure

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

const (
	hash   = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-"
	system = container.StorePath(hash + "nixos-system-a")
	other  = container.StorePath(hash + "nixos-system-b")
)

// directory is a store below a directory of the test.
type directory struct {
	dir   string
	asked int
}

func (d *directory) Closure(_ context.Context, p container.StorePath) (Closure, error) {
	d.asked++
	return Closure{System: p, Dir: d.dir, Paths: []container.StorePath{hash + "bash", p}}, nil
}

func (d *directory) Keep(_ context.Context, p container.StorePath, link string) error {
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(filepath.Join(d.dir, p.Base()), link)
}

func (d *directory) Registration(_ context.Context, c Closure) ([]byte, error) {
	d.asked++
	return []byte("all of " + c.System.Base() + "\n"), nil
}

func newSystems(t *testing.T) (Systems, *directory) {
	t.Helper()
	d := &directory{dir: t.TempDir()}
	for _, p := range []container.StorePath{system, other} {
		must(t, os.Mkdir(filepath.Join(d.dir, p.Base()), 0o755))
		must(t, os.WriteFile(filepath.Join(d.dir, p.Base(), "init"), nil, 0o755))
	}
	return Systems{Paths: state.Paths{Root: t.TempDir()}, Source: d}, d
}

func TestTake(t *testing.T) {
	t.Parallel()
	s, d := newSystems(t)
	if _, err := s.Closure("web", system); !errors.Is(err, fs.ErrNotExist) || s.Check("web", system) != nil {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		must(t, s.Take(t.Context(), "web", system))
	}
	if d.asked != 1 {
		t.Errorf("the store was asked %d times", d.asked)
	}
	c, err := s.Closure("web", system)
	if err != nil || c.Dir != d.dir || !slices.Equal(c.Names(), []string{"0123456789abcdfghijklmnpqrsvwxyz-bash", system.Base()}) {
		t.Errorf("%+v, %v", c, err)
	}
	must(t, os.Remove(filepath.Join(s.Paths.System("web"), system.Base()))) // somebody has removed the root
	must(t, s.Take(t.Context(), "web", system))
	if d.asked != 2 {
		t.Errorf("the store was asked %d times", d.asked)
	}
	must(t, s.Take(t.Context(), "web", other))
	must(t, s.Trim("web", other, ""))
	if entries, err := os.ReadDir(s.Paths.System("web")); err != nil || len(entries) != 2 || entries[0].Name() != other.Base() {
		t.Errorf("%v, %v", entries, err)
	}
	if names, err := s.Names(); err != nil || !slices.Equal(names, []container.Name{"web"}) {
		t.Errorf("%v, %v", names, err)
	}
	must(t, s.Forget("web"))
	if names, err := s.Names(); err != nil || len(names) > 0 {
		t.Errorf("%v, %v", names, err)
	}
}

// TestRegister keeps what a Nix in the guest is to be told for as long as its
// system.
func TestRegister(t *testing.T) {
	t.Parallel()
	s, d := newSystems(t)
	must(t, s.Take(t.Context(), "web", system))
	for range 2 {
		must(t, s.Register(t.Context(), "web", system))
	}
	if d.asked != 2 {
		t.Errorf("the store was asked %d times", d.asked)
	}
	must(t, s.Trim("web", system))
	if b, err := os.ReadFile(s.Registration("web", system)); err != nil || string(b) != "all of "+system.Base()+"\n" {
		t.Errorf("%q, %v", b, err)
	}
	must(t, s.Trim("web", other))
	if _, err := os.Stat(s.Registration("web", system)); err == nil {
		t.Error("it is kept for nothing")
	}
	if err := s.Register(t.Context(), "web", other); err == nil {
		t.Error("a system is registered that was not taken")
	}
}

// TestHasProgram follows links as the guest does, who sees the store elsewhere.
func TestHasProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	top, tool := filepath.Join(dir, system.Base()), filepath.Join(dir, other.Base())
	must(t, errors.Join(os.MkdirAll(top+"/sw/bin", 0o755), os.MkdirAll(tool+"/bin", 0o755), os.WriteFile(tool+"/bin/nix", nil, 0o755), os.WriteFile(tool+"/bin/text", nil, 0o644),
		os.Symlink("nix", tool+"/bin/nix-store"), os.Symlink(string(other)+"/bin/nix-store", top+"/sw/bin/nix-store"), os.Symlink(string(other), top+"/whole"),
		os.Symlink("../../../../etc/passwd", top+"/out"), os.Symlink("/bin/sh", top+"/host"), os.Symlink("loop", top+"/loop")))
	for path, want := range map[string]bool{"sw/bin/nix-store": true, "whole/bin/nix-store": true, "whole/bin/text": false, "whole/bin": false, "sw/bin/gone": false, "out": false, "host": false, "loop": false} {
		if got := (Closure{System: system, Dir: dir}).HasProgram(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s, d := newSystems(t)
	must(t, s.Take(t.Context(), "web", system))
	top := filepath.Join(d.dir, system.Base())
	for _, c := range []struct{ remove, want string }{{top + "/init", "it has no init"}, {top, "is not in the store"}} {
		must(t, os.Remove(c.remove))
		for _, err := range []error{s.Check("web", system), s.Take(t.Context(), "web", system)} {
			var e *container.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Hint == "" {
				t.Errorf("without %s: %v", c.remove, err)
			}
		}
	}
	must(t, os.WriteFile(s.file("web", other), []byte(`{"system":"`+string(system)+`"}`), 0o600))
	if _, err := s.Closure("web", other); err == nil {
		t.Error("a closure of another system is taken")
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Symlink("/etc", dir+"/etc"))
	if p, err := Resolve(string(system)); err != nil || p != system { // it may be in a store that the host does not show
		t.Errorf("%s, %v", p, err)
	}
	for path, want := range map[string]string{dir + "/etc": "leads to no store path", dir + "/gone": "no such file", string(system) + "/init": "no such file"} {
		var e *container.Error
		if _, err := Resolve(path); !errors.As(err, &e) || !strings.Contains(err.Error(), want) || e.Hint == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestAnswers has nix-store say what it should not.
func TestAnswers(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "nix-store")
	for script, want := range map[string]string{
		"echo warning: much >&2; echo 'error: path\x1b[31m is\n not valid' >&2; exit 1": "system: path is not valid",
		"echo something >&2; exit 1": "system: something",
		"exit 3":                     "system: exit status 3",
		"echo /etc/passwd; echo " + string(system):                     "is not below /nix/store",
		"echo " + string(other):                                        "it is not part of the answer",
		"echo " + string(system) + "; echo " + string(system) + "/../": "is not a store path",
	} {
		must(t, os.WriteFile(program+".new", []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		must(t, os.Rename(program+".new", program))
		if _, err := (Nix{Program: program}).Closure(t.Context(), system); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", script, err)
		}
	}
	must(t, os.Remove(program))
	if err := (Nix{Program: program}).Keep(t.Context(), system, program); err == nil || !strings.Contains(err.Error(), "this host has no Nix") {
		t.Errorf("without a Nix: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
