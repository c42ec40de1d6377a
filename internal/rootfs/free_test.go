package rootfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestImageStore: a Nix in a guest may write to the store that its image brings,
// which it has to mount anew without nodev. All else of the root stays nodev.
func TestImageStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(r *Root) error
		nodev  bool
	}{
		"a store":            {func(r *Root) error { return os.MkdirAll(r.Image+"/nix/store/path", 0o755) }, false},
		"in memory":          {func(r *Root) error { r.Changes = ""; return os.MkdirAll(r.Image+"/nix/store", 0o755) }, false},
		"without a range":    {func(r *Root) error { r.Users = IDs{}; return os.MkdirAll(r.Image+"/nix/store", 0o755) }, true},
		"a link":             {func(r *Root) error { return os.Symlink("/etc", r.Image+"/nix") }, true},
		"a link to a parent": {func(r *Root) error { return os.Symlink("../..", r.Image+"/nix") }, true},
		"a file":             {func(r *Root) error { return os.WriteFile(r.Image+"/nix", nil, 0o644) }, true},
		"nothing":            {func(*Root) error { return nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, t.TempDir())
			must(t, c.change(&r))
			isolated(t, func() error {
				m, err := r.Mount()
				if err != nil {
					return err
				}
				for path, nodev := range map[string]bool{"": true, "/etc": true, "/nix/store": c.nodev} {
					var st unix.Statfs_t
					if err := unix.Statfs(m.Root+path, &st); err == nil && st.Flags&unix.ST_NODEV != 0 != nodev {
						t.Errorf("%q has the flags %#x", path, st.Flags)
					}
				}
				if !c.nodev {
					return os.WriteFile(m.Root+"/nix/store/new", nil, 0o644)
				}
				return nil
			})
		})
	}
}
