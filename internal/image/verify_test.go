package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func TestOSName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"none": {func(dir string) error { return nil }, ""},
		"relative": {func(dir string) error {
			return os.Symlink("../usr/lib/os-release", filepath.Join(dir, "etc/os-release"))
		}, "Inside"},
		"absolute": {func(dir string) error { return os.Symlink("/usr/lib/os-release", filepath.Join(dir, "etc/os-release")) }, "Inside"},
		"out":      {func(dir string) error { return os.Symlink("../../../../secret", filepath.Join(dir, "etc/os-release")) }, "Inside"},
		"fifo":     {func(dir string) error { return mkfifo(filepath.Join(dir, "etc/os-release")) }, "Inside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "root")
			must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "../secret"), []byte("PRETTY_NAME=Outside"), 0o644))
			if tc.want != "" {
				must(t, os.MkdirAll(filepath.Join(dir, "usr/lib"), 0o755))
				must(t, os.WriteFile(filepath.Join(dir, "usr/lib/os-release"), []byte("PRETTY_NAME='Inside'\n"), 0o644))
			}
			must(t, tc.make(dir))
			top, err := os.Open(dir)
			must(t, err)
			defer top.Close()
			if got := osName(top); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzPrettyName(f *testing.F) {
	f.Add(osRelease)
	f.Add("NAME=x\nPRETTY_NAME=\"\xff\u202e\"")
	f.Fuzz(func(t *testing.T, text string) {
		got := prettyName(text)
		if len(got) > maxOSName || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\n\r\u202e") {
			t.Errorf("%q", got)
		}
	})
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
