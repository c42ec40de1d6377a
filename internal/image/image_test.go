package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newStore is a store in a directory of its own; it needs root for the
// owners of files.
func newStore(t testing.TB) *Store {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("images keep the owners of files: run these tests as root")
	}
	return Open(filepath.Join(t.TempDir(), "images"), Options{})
}

// tarOf is a tar stream of files, by name; a name that ends with a slash is a
// directory.
func tarOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: n, Mode: 0o644, Size: int64(len(files[n]))}
		if strings.HasSuffix(n, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o700
		}
		must(t, w.WriteHeader(h))
		_, err := w.Write([]byte(files[n]))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

const osRelease = "NAME=Tiny\nPRETTY_NAME=\"Tiny Linux 1\x1b[31m\"\n"

func tiny(t testing.TB) []byte {
	return tarOf(t, map[string]string{"./": "", "etc/os-release": osRelease, "usr/bin/init": "#!/bin/sh\n"})
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	must(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

// put writes a file and gives the reference of it as a tar file.
func put(t testing.TB, data []byte) container.ImageRef {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	must(t, os.WriteFile(path, data, 0o644))
	return container.ImageRef{Kind: container.ImageTar, Arg: path}
}

// clean fails the test where an import left something behind.
func clean(t testing.TB, s *Store, images int) {
	t.Helper()
	stages, err := filepath.Glob(filepath.Join(s.staging(), "*"))
	must(t, err)
	if len(stages) > 0 {
		t.Errorf("left behind: %q", stages)
	}
	list, err := s.List()
	must(t, err)
	if len(list) != images {
		t.Errorf("%d images, want %d: %+v", len(list), images, list)
	}
}

func TestGetTar(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	ref := put(t, tiny(t))
	if img, current, err := s.Lookup(ctx, ref); err != nil || current || img.Digest != "" {
		t.Fatalf("lookup before: %+v %v %v", img, current, err)
	}
	img, err := s.Get(ctx, ref)
	must(t, err)
	if img.OS != "Tiny Linux 1" || img.Size == 0 || !slices.Equal(img.Refs, []string{ref.String()}) {
		t.Errorf("got %+v", img)
	}
	var st unix.Stat_t
	must(t, unix.Stat(img.Rootfs, &st))
	if st.Mode&0o7777 != 0o755 || st.Uid != 0 {
		t.Errorf("the top has mode %o", st.Mode)
	}
	must(t, unix.Stat(s.dir, &st))
	if st.Mode&0o7777 != 0o700 {
		t.Errorf("the store has mode %o", st.Mode)
	}
	again, err := s.Get(ctx, ref)
	must(t, err)
	if !again.Created.Equal(img.Created) {
		t.Error("imported twice")
	}
	found, err := s.Find(img.Digest.Short())
	must(t, err)
	if found.Digest != img.Digest {
		t.Errorf("found %v", found.Digest)
	}
	if _, err := s.Find("tar:/nowhere"); !errors.Is(err, ErrNotFound) {
		t.Errorf("find: %v", err)
	}
	must(t, os.Remove(ref.Arg))
	if _, current, err := s.Lookup(ctx, ref); err != nil || !current {
		t.Errorf("source gone: %v %v", current, err)
	}
	clean(t, s, 1)
}

func TestGetChangedTar(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	ref := put(t, tiny(t))
	old, err := s.Get(ctx, ref)
	must(t, err)
	must(t, os.WriteFile(ref.Arg, tarOf(t, map[string]string{"usr/new": "x"}), 0o644))
	if img, current, err := s.Lookup(ctx, ref); err != nil || current || img.Digest != old.Digest {
		t.Errorf("lookup: %+v %v %v", img, current, err)
	}
	img, err := s.Get(ctx, ref)
	must(t, err)
	if img.Digest == old.Digest {
		t.Error("the image is the old one")
	}
	clean(t, s, 2)
	gone, err := s.Prune(ctx, func(d container.Digest) bool { return d == img.Digest })
	must(t, err)
	if len(gone) != 1 || gone[0].Digest != old.Digest {
		t.Errorf("pruned %+v", gone)
	}
	clean(t, s, 1)
	if err := s.Remove(ctx, ""); err == nil {
		t.Error("removed what has no digest")
	}
	clean(t, s, 1)
	must(t, s.Remove(ctx, img.Digest))
	if err := s.Remove(ctx, img.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("remove again: %v", err)
	}
	clean(t, s, 0)
	if _, current, err := s.Lookup(ctx, ref); err != nil || current {
		t.Errorf("lookup of what was removed: %v %v", current, err)
	}
}

// One content is stored once, however it is compressed.
func TestGetSameContent(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	a, b := put(t, tiny(t)), put(t, gz(t, tiny(t)))
	_, err := s.Get(ctx, a)
	must(t, err)
	img, err := s.Get(ctx, b)
	must(t, err)
	if len(img.Refs) != 2 {
		t.Errorf("refs: %q", img.Refs)
	}
	clean(t, s, 1)
}

func TestGetDir(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	src := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(src, "usr/bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(src, "usr/bin/su"), []byte("su"), 0o755))
	must(t, os.Chmod(filepath.Join(src, "usr/bin/su"), 0o755|os.ModeSetuid))
	must(t, os.Chown(filepath.Join(src, "usr/bin"), 12, 34))
	ref := container.ImageRef{Kind: container.ImageDir, Arg: src}
	img, err := s.Get(ctx, ref)
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(img.Rootfs, "usr/bin/su"), &st))
	if st.Mode&0o7777 != 0o4755 {
		t.Errorf("mode is %o", st.Mode)
	}
	must(t, unix.Stat(filepath.Join(img.Rootfs, "usr/bin"), &st))
	if st.Uid != 12 || st.Gid != 34 {
		t.Errorf("owner is %d:%d", st.Uid, st.Gid)
	}
	again, err := s.Import(ctx, ref)
	must(t, err)
	if again.Digest != img.Digest {
		t.Error("the same directory gives another image")
	}
	must(t, os.WriteFile(filepath.Join(src, "usr/bin/su"), []byte("changed"), 0o755))
	if _, current, err := s.Lookup(ctx, ref); err != nil || current {
		t.Errorf("lookup: %v %v", current, err)
	}
	clean(t, s, 1)
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	evil := tarOf(t, map[string]string{"../etc/passwd": "x"})
	good := tiny(t)
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		ref        func(s *Store) container.ImageRef
		want, hint string
	}{
		"evil": {func(*Store) container.ImageRef { return put(t, evil) },
			`entry 1 "../etc/passwd": name leads out of the directory`, "the archive is damaged or wants to harm"},
		"cut": {func(*Store) container.ImageRef { return put(t, gz(t, good)[:100]) },
			"cut short: unexpected EOF", "the file is not complete: get it again"},
		"empty file": {func(*Store) container.ImageRef { return put(t, nil) },
			"not a tar archive: it is empty", "write a tar file that is plain or compressed"},
		"empty archive": {func(*Store) container.ImageRef { return put(t, tarOf(t, nil)) },
			"there is nothing in it", "check that the path is that of a root file system"},
		"no root": {func(*Store) container.ImageRef { return put(t, tarOf(t, map[string]string{"rootfs/usr/x": ""})) },
			"it is not a root file system: it has none of usr, bin, sbin, etc, nix", "the top of the archive or directory must be"},
		"directory as tar": {func(*Store) container.ImageRef { return container.ImageRef{Kind: container.ImageTar, Arg: dir} },
			"it is not a regular file", "use dir:/PATH for a directory"},
		"missing": {func(*Store) container.ImageRef {
			return container.ImageRef{Kind: container.ImageTar, Arg: "/nowhere/x.tar"}
		},
			"stat /nowhere/x.tar: no such file or directory", "check the path"},
		"holds the store": {func(s *Store) container.ImageRef {
			return container.ImageRef{Kind: container.ImageDir, Arg: filepath.Dir(s.dir)}
		}, "the image store lies inside it", "name a directory that does not contain the store"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ref := tc.ref(s)
			_, err := s.Get(t.Context(), ref)
			e, ok := errors.AsType[*container.Error](err)
			if !ok || !strings.HasPrefix(err.Error(), "import "+ref.String()+": ") || !strings.HasSuffix(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
			if !strings.HasPrefix(e.Hint, tc.hint) {
				t.Errorf("hint: got %q, want %q", e.Hint, tc.hint)
			}
			clean(t, s, 0)
		})
	}
}

// A failed import leaves the image that was there.
func TestFailedImportKeepsTheOld(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	ref := put(t, tiny(t))
	old, err := s.Get(ctx, ref)
	must(t, err)
	must(t, os.WriteFile(ref.Arg, tiny(t)[:700], 0o644))
	if _, err := s.Get(ctx, ref); err == nil {
		t.Fatal("no error")
	}
	img, current, err := s.Lookup(ctx, ref)
	if err != nil || current || img.Digest != old.Digest {
		t.Errorf("lookup: %+v %v %v", img, current, err)
	}
	clean(t, s, 1)
}

func TestImportCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := Open(newStore(t).dir, Options{Events: func(container.Event) { cancel() }})
	_, err := s.Get(ctx, put(t, tarOf(t, map[string]string{"usr/big": strings.Repeat("x", 8<<20)})))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	clean(t, s, 0)
}

// Those who ask for the same at the same time share one import.
func TestImportShared(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := put(t, tiny(t))
	const n = 8
	images := make([]Image, n)
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			images[i], errs[i] = Open(s.dir, Options{}).Get(t.Context(), ref)
		})
	}
	close(start)
	wg.Wait()
	must(t, errors.Join(errs...))
	for _, img := range images {
		if !img.Created.Equal(images[0].Created) {
			t.Error("imported more than once")
		}
	}
	clean(t, s, 1)
}

// Sweep leaves alone what is alive.
func TestSweepSparesTheLiving(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	alive, err := s.newStage(ctx)
	must(t, err)
	dead, err := s.newStage(ctx)
	must(t, err)
	must(t, dead.lock.Unlock())
	must(t, os.WriteFile(filepath.Join(s.dir, ".tmp-1"), nil, 0o600))
	removed, err := s.Sweep(ctx)
	must(t, err)
	if want := []string{dead.path, filepath.Join(s.dir, ".tmp-1")}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	if _, err := os.Stat(alive.rootfs()); err != nil {
		t.Error(err)
	}
	must(t, alive.drop())
	clean(t, s, 0)
	if removed, err := Open("/nowhere/at/all", Options{}).Sweep(ctx); err != nil || removed != nil {
		t.Errorf("no store: %v %v", removed, err)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	var last container.Event
	var total int64
	s := Open(newStore(t).dir, Options{Events: func(e container.Event) { last, total = e, e.Total }})
	ref := put(t, tiny(t))
	_, err := s.Get(t.Context(), ref)
	must(t, err)
	if !last.Ended || last.Phase != "unpacking" || last.Subject != ref.String() || total != int64(len(tiny(t))) {
		t.Errorf("last event: %+v", last)
	}
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	must(t, s.prepare())
	must(t, os.WriteFile(s.refsFile(), []byte(`{"version":2}`), 0o600))
	_, err := s.List()
	want := fmt.Sprintf("%s: version 2 of the format is not known", s.refsFile())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
