package rootfs

import (
	"os"
	"strings"
	"testing"
)

// TestAnchor mounts images that lack what systemd-nspawn insists on, or have
// it elsewhere.
func TestAnchor(t *testing.T) {
	t.Parallel()
	const made = " etc/os-release usr"
	for name, c := range map[string]struct {
		lay   func(image string) error
		added string // files in the changes
	}{
		"nothing":     {func(string) error { return nil }, made},
		"usr":         {func(i string) error { return os.Mkdir(i+"/usr", 0o755) }, " etc/os-release"},
		"all":         {func(i string) error { return lay(i, "usr/", "etc/os-release") }, ""},
		"the other":   {func(i string) error { return lay(i, "usr/lib/os-release") }, ""},
		"a link":      {func(i string) error { return lay(i, "usr/", "etc/os-release -> ../usr/lib/os-release") }, ""},
		"a dead link": {func(i string) error { return lay(i, "usr/", "etc/os-release -> /nix/store/x") }, ""},
		"usr a link":  {func(i string) error { return lay(i, "usr -> /elsewhere") }, ""}, // only the guest knows what is there
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, t.TempDir())
			must(t, c.lay(r.Image))
			for range 2 { // the second time everything is there
				isolated(t, func() error {
					m, err := r.Mount()
					if err != nil {
						return err
					}
					for f := range strings.FieldsSeq(c.added) {
						wantOwners(t, m.Root, map[string][2]int{f: {base, base}})
					}
					return nil
				})
				got := ""
				for _, f := range []string{"etc/os-release", "usr"} {
					if _, err := os.Lstat(r.Changes + "/upper/" + f); err == nil {
						got += " " + f
					}
				}
				if got != c.added {
					t.Errorf("added:%s, not%s", got, c.added)
				}
			}
		})
	}
}

// TestAnchorStaysInside has an image whose etc leads to the host's.
func TestAnchorStaysInside(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"/", "../../..", ""} {
		outside := t.TempDir()
		dir := t.TempDir()
		link := to
		if link == "" {
			link = outside
		}
		must(t, os.Symlink(link, dir+"/etc"))
		_ = anchor(dir, base) // it may not be possible
		if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
			t.Errorf("outside is %v: %v", entries, err)
		}
		if _, err := os.Lstat("/os-release"); err == nil {
			t.Error("the host got a file")
		}
	}
}

// lay makes directories, links and empty files below dir.
func lay(dir string, names ...string) error {
	for _, n := range names {
		path, to, link := strings.Cut(n, " -> ")
		path, isDir := strings.CutSuffix(dir+"/"+path, "/")
		parent := path[:strings.LastIndexByte(path, '/')]
		err := os.MkdirAll(parent, 0o755)
		switch {
		case err != nil:
		case link:
			err = os.Symlink(to, path)
		case isDir:
			err = os.MkdirAll(path, 0o755)
		default:
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
