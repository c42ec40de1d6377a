package host

import (
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

func TestKernel(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]struct {
		version string
		mapped  bool
	}{
		"6.18.44-fc-v657":       {"6.18", true},
		"5.15.0-91-generic":     {"5.15", false},
		"5.19.0":                {"5.19", true},
		"5.18.99":               {"5.18", false},
		"6.0-rc1":               {"6.0", true},
		"5.9":                   {"5.9", false},
		"10.1.2":                {"10.1", true},
		"4.20.0+":               {"4.20", false},
		"6.1.0-18-amd64":        {"6.1", true},
		"5.10.102.1-microsoft-": {"5.10", false},
		"":                      {"", false},
		"rubbish":               {"", false},
		"6":                     {"", false},
		"6.":                    {"", false},
		"6.x":                   {"", false},
		"v6.1":                  {"", false},
	} {
		p := Probe{Release: func() (string, error) { return release, nil }}
		v, err := p.Kernel()
		mapped, mappedErr := p.MappedLayers()
		if want.version == "" {
			if err == nil || mappedErr == nil || mapped || !strings.Contains(err.Error(), "kernel release") {
				t.Errorf("%q is %v, mapped %v: %v, %v", release, v, mapped, err, mappedErr)
			}
			continue
		}
		if err != nil || v.String() != want.version || mappedErr != nil || mapped != want.mapped {
			t.Errorf("%q is %v, mapped %v: %v, %v", release, v, mapped, err, mappedErr)
		}
	}
}

func TestKernelUnknown(t *testing.T) {
	t.Parallel()
	why := errors.New("no uname")
	p := Probe{Release: func() (string, error) { return "", why }}
	if _, err := p.Kernel(); err != why {
		t.Errorf("got %v", err)
	}
	if mapped, err := p.MappedLayers(); err != why || mapped {
		t.Errorf("got %v, %v", mapped, err)
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v            Version
		major, minor int
		want         bool
	}{
		{Version{5, 19}, 5, 19, true}, {Version{5, 20}, 5, 19, true}, {Version{6, 0}, 5, 19, true},
		{Version{5, 18}, 5, 19, false}, {Version{4, 30}, 5, 19, false}, {Version{}, 0, 0, true},
	} {
		if got := c.v.AtLeast(c.major, c.minor); got != c.want {
			t.Errorf("%v at least %d.%d: %v", c.v, c.major, c.minor, got)
		}
	}
}

func TestNspawn(t *testing.T) {
	t.Parallel()
	const path = "/usr/bin/systemd-nspawn"
	for out, c := range map[string]struct {
		version int
		err     string // a part of it
	}{
		"systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT\n": {252, ""},
		"systemd 257~rc1\n":                             {257, ""},
		"systemd 261 (261)":                             {261, ""},
		"systemd 251 (251.4-1)\n":                       {251, "is of systemd 251, berth needs 252 or later"},
		"systemd 9":                                     {9, "berth needs 252"},
		"":                                              {0, "not a systemd version"},
		"systemd\n":                                     {0, "not a systemd version"},
		"elogind 252\nx":                                {0, `says "elogind 252", not a systemd version`},
		"systemd v252":                                  {0, "not a systemd version"},
		"systemd 99999999999999999999":                  {0, "not a systemd version"},
	} {
		p := Probe{
			LookPath:  func(string) (string, error) { return path, nil },
			Output:    func(string) ([]byte, error) { return []byte(out), nil },
			Libraries: noLibraries,
		}
		n, err := p.Nspawn()
		if c.err == "" && (err != nil || n != Nspawn{path, c.version}) {
			t.Errorf("%q: %+v, %v", out, n, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), path) || n.Version != c.version) {
			t.Errorf("%q: %+v, %v", out, n, err)
		}
	}
}

func noLibraries(string) ([]string, error) { return nil, errors.New("not a program") }

// TestNspawnByLibrary needs no process to know a version.
func TestNspawnByLibrary(t *testing.T) {
	t.Parallel()
	for library, want := range map[string]int{
		"libsystemd-shared-252.so": 252, "libsystemd-shared-255.4-1.fc40.so": 255, "libsystemd-shared-257.so": 257,
	} {
		p := Probe{
			LookPath:  func(string) (string, error) { return "/x", nil },
			Libraries: func(string) ([]string, error) { return []string{"libc.so.6", library}, nil },
		}
		if n, err := p.Nspawn(); err != nil || n.Version != want {
			t.Errorf("%s: %+v, %v", library, n, err)
		}
	}
}

// TestNspawnHere finds the same version in both ways.
func TestNspawnHere(t *testing.T) {
	t.Parallel()
	p := System()
	quick, err := p.Nspawn()
	if err != nil {
		t.Fatal(err)
	}
	p.Libraries = noLibraries
	if asked, err := p.Nspawn(); err != nil || asked != quick {
		t.Errorf("by its library %+v, by itself %+v (%v)", quick, asked, err)
	}
}

func TestNspawnMissing(t *testing.T) {
	t.Parallel()
	p := Probe{LookPath: func(p string) (string, error) { return "", &exec.Error{Name: p, Err: exec.ErrNotFound} }}
	_, err := p.Nspawn()
	var e *container.Error
	if !errors.As(err, &e) || e.Hint == "" || e.Error() != "systemd-nspawn is not installed" {
		t.Errorf("got %v", err)
	}
}

func TestNspawnFails(t *testing.T) {
	t.Parallel()
	why := errors.New("exit status 1")
	p := Probe{LookPath: func(string) (string, error) { return "/x", nil }, Output: func(string) ([]byte, error) { return nil, why }, Libraries: noLibraries}
	if _, err := p.Nspawn(); !errors.Is(err, why) || !strings.Contains(err.Error(), "/x --version") {
		t.Errorf("got %v", err)
	}
}

func TestSystemdRuns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&fs.PathError{Op: "readlink", Err: unix.EINVAL}, true}, // a directory
		{nil, true}, // a link
		{&fs.PathError{Op: "readlink", Err: unix.ENOENT}, false},
		{&fs.PathError{Op: "readlink", Err: unix.ENOTDIR}, false},
	} {
		p := Probe{Readlink: func(path string) (string, error) {
			if path != "/run/systemd/system" {
				t.Errorf("asked for %s", path)
			}
			return "", c.err
		}}
		if got := p.SystemdRuns(); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// TestSystem asks the machine that this test runs on.
func TestSystem(t *testing.T) {
	t.Parallel()
	p := System()
	if v, err := p.Kernel(); err != nil || !v.AtLeast(5, 15) {
		t.Errorf("kernel %v: %v", v, err)
	}
	if n, err := p.Nspawn(); err != nil || n.Version < Floor {
		t.Errorf("these tests run where berth can: %+v, %v", n, err)
	}
}
