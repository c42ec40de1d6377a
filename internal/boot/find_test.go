package boot

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// program is the smallest file that counts as a static program, with text
// behind it.
func program(text string) string {
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	_ = binary.Write(&b, binary.LittleEndian, h)
	return b.String() + text
}

// tree makes files by their paths: "-> TARGET" is a link, "dir" a directory,
// "fifo" a pipe, and a leading "!" leaves the file without the right to be run.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		at := filepath.Join(dir, path)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		switch to, link := strings.CutPrefix(text, "-> "); {
		case link:
			must(t, os.Symlink(to, at))
		case text == "dir":
			must(t, os.Mkdir(at, 0o755))
		case text == "fifo":
			must(t, unix.Mkfifo(at, 0o755))
		case strings.HasPrefix(text, "!"):
			must(t, os.WriteFile(at, []byte(text[1:]), 0o644))
		default:
			must(t, os.WriteFile(at, []byte(text), 0o755))
		}
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	static := program("hello")
	for name, c := range map[string]struct {
		files map[string]string
		want  Init
	}{
		"Debian":            {map[string]string{"lib": "-> usr/lib", "sbin": "-> usr/sbin", "usr/sbin/init": "-> /lib/systemd/systemd", "usr/lib/systemd/systemd": static}, Init{Systemd, "/sbin/init"}},
		"systemd alone":     {map[string]string{"usr/lib/systemd/systemd": static}, Init{Systemd, "/usr/lib/systemd/systemd"}},
		"another by choice": {map[string]string{"usr/lib/systemd/systemd": static, "sbin/init": program("/run/initctl INIT_VERSION")}, Init{SysVinit, "/sbin/init"}},
		"OpenRC":            {map[string]string{"sbin/init": "-> openrc-init", "sbin/openrc-init": static}, Init{OpenRC, "/sbin/init"}},
		"Alpine":            {map[string]string{"sbin/init": "-> /bin/busybox", "bin/busybox": static}, Init{BusyBox, "/sbin/init"}},
		"busybox by a link": {map[string]string{"sbin/init": program("BusyBox v1.35")}, Init{BusyBox, "/sbin/init"}},
		"runit":             {map[string]string{"sbin/init": "-> /lib/runit/runit-init", "lib/runit/runit-init": static}, Init{Runit, "/sbin/init"}},
		"bare":              {map[string]string{"sbin/init": static}, Init{Unknown, "/sbin/init"}},
		"bare at the top":   {map[string]string{"init": static}, Init{Unknown, "/init"}},
		"bare and ready":    {map[string]string{"sbin/init": program("NOTIFY_SOCKET")}, Init{Notifier, "/sbin/init"}},
		"script":            {map[string]string{"sbin/init": "#! /bin/sh -e\nexec sleep 1\n", "bin/sh": static}, Init{Unknown, "/sbin/init"}},
		"NixOS":             {map[string]string{"init": "#!/bin/sh\nexec /run/current-system/systemd/lib/systemd/systemd\n", "bin/sh": static}, Init{Script, "/init"}},
		"the next one":      {map[string]string{"sbin/init": "!" + static, "init": static}, Init{Unknown, "/init"}},
		"out and back":      {map[string]string{"sbin/init": "-> ../../../../real", "real": static}, Init{Unknown, "/sbin/init"}},
	} {
		got, err := Find(tree(t, c.files))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestFindNothing: what is no init is told with its place; what a root holds
// leads to no file of the host, and keeps nobody waiting.
func TestFindNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		init string
		want string
	}{
		"nothing":       {"", "its image has no init: there is none of /sbin/init, "},
		"host":          {"-> /proc/self/exe", "there is none of /sbin/init"},
		"host by dots":  {"-> ../../../../../../../../bin/sh", "there is none of /sbin/init"},
		"itself":        {"-> init", "/sbin/init: too many levels of symbolic links"},
		"directory":     {"dir", "/sbin/init: it is not a file"},
		"pipe":          {"fifo", "/sbin/init: it is not a file"},
		"no rights":     {"!#!/bin/sh\n", "/sbin/init: it is not executable"},
		"text":          {"hello\n", "/sbin/init: it is neither an executable program nor a script"},
		"half an ELF":   {"\x7fELF\x02\x01\x01", "/sbin/init: it is neither an executable program nor a script"},
		"no program":    {"#! \n", "/sbin/init: its first line names no interpreter"},
		"no such shell": {"#!/bin/sh\n", "/sbin/init: its interpreter /bin/sh: no such file or directory"},
	} {
		files := map[string]string{"etc/os-release": ""}
		if c.init != "" {
			files["sbin/init"] = c.init
		}
		_, err := Find(tree(t, files))
		var e *container.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHalt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		init     Init
		notifies bool
		signal   string
		command  string
	}{
		{Init{}, true, "SIGRTMIN+3", ""},
		{Init{Systemd, "/sbin/init"}, true, "SIGRTMIN+3", ""},
		{Init{Script, "/init"}, true, "SIGRTMIN+3", ""},
		{Init{SysVinit, "/sbin/init"}, false, "SIGPWR", "/proc/1/exe 0"},
		{Init{Runit, "/sbin/init"}, false, "SIGPWR", "/sbin/init 0"},
		{Init{OpenRC, "/sbin/init"}, false, "SIGTERM", ""},
		{Init{BusyBox, "/sbin/init"}, false, "SIGUSR2", ""},
		{Init{Notifier, "/sbin/init"}, true, "SIGTERM", ""},
		{Init{Unknown, "/init"}, false, "SIGTERM", ""},
	} {
		i := c.init
		if i.Notifies() != c.notifies || i.HaltSignalName() != c.signal || strings.Join(i.HaltCommand(), " ") != c.command {
			t.Errorf("%+v: %v, %s, %q", i, i.Notifies(), i.HaltSignalName(), i.HaltCommand())
		}
	}
}

func TestUpdatePending(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"none":          {map[string]string{"etc/x": ""}, false},
		"link":          {map[string]string{"system-update": "-> /nowhere"}, true},
		"directory":     {map[string]string{"system-update": "dir"}, true},
		"in etc":        {map[string]string{"etc/system-update": "-> /var/lib/x"}, true},
		"out of a link": {map[string]string{"etc": "-> /../../../../etc", "system-upgrade": ""}, false},
	} {
		if got := UpdatePending(tree(t, c.files)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	upper := t.TempDir()
	if err := unix.Mknod(filepath.Join(upper, "system-update"), unix.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
	if UpdatePending(upper) {
		t.Error("an overlay has removed the mark")
	}
}

// FuzzProgram holds that no file of a guest does harm when it is looked at.
func FuzzProgram(f *testing.F) {
	for _, s := range []string{"", "#!", "#!/bin/sh\n", program(""), program("/initctl INIT_VERSION"), "\x7fELF"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := interpreterOf(b); err == nil && len(i) > len(b) {
			t.Errorf("the interpreter is longer than the program: %q", i)
		}
		byContent(b)
	})
}
