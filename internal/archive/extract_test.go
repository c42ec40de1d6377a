package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"
)

// capNetRaw is the value of security.capability for cap_net_raw+ep; see
// vfs_cap_data in linux/capability.h.
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// aclUser1000 is an ACL that lets user 1000 read, in the kernel's form.
const aclUser1000 = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe8\x03\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff"

func withXattrs(e entry, attrs map[string]string) entry {
	e.PAXRecords = make(map[string]string)
	for k, v := range attrs {
		e.PAXRecords[paxXattr+k] = v
	}
	return e
}

func TestExtractAttributes(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	su := withXattrs(file("bin/su", "#!"), map[string]string{
		xattrCapability: capNetRaw, "user.note": "hi", "trusted.overlay.opaque": "y",
		"user.overlay.opaque": "y", "security.selinux": "x", "trusted.x": "y",
	})
	su.Mode, su.Uid, su.Gid = 0o6755, 7, 1<<32-2
	top := dir("./")
	top.Mode = 0o750
	sticky := dir("tmp/")
	sticky.Mode, sticky.ModTime = 0o1777, when.Add(-time.Hour)
	early := dir("bin")
	early.ModTime = when.Add(-2 * time.Hour)
	pipe := link(tar.TypeFifo, "tmp/pipe", "")
	pipe.Mode, pipe.Gid = 0o620, 5
	run := symlink("var/run", "/run")
	run.Uid = 9
	null := entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666}}
	stats, err := Extract(t.Context(), bytes.NewReader(stream(t, top, early, sticky, su, pipe, run, null,
		file("tmp/late", "x"), file("bin/late", ""), hardlink("bin/su2", "bin/su"))), s.root, Options{})
	s.check(t)
	must(t, err)
	if want := (Stats{Entries: 9, Bytes: 3, Skipped: 1, Xattrs: 4}); stats != want {
		t.Errorf("got %+v, want %+v", stats, want)
	}
	for name, want := range map[string]unix.Stat_t{
		".":        {Mode: unix.S_IFDIR | 0o750},
		"bin":      {Mode: unix.S_IFDIR | 0o755},
		"var":      {Mode: unix.S_IFDIR | 0o755},
		"tmp":      {Mode: unix.S_IFDIR | 0o1777},
		"bin/su":   {Mode: unix.S_IFREG | 0o6755, Uid: 7, Gid: 1<<32 - 2},
		"bin/su2":  {Mode: unix.S_IFREG | 0o6755, Uid: 7, Gid: 1<<32 - 2},
		"tmp/pipe": {Mode: unix.S_IFIFO | 0o620, Gid: 5},
		"var/run":  {Mode: unix.S_IFLNK | 0o777, Uid: 9},
	} {
		got := s.lstat(t, name)
		if got.Mode != want.Mode || got.Uid != want.Uid || got.Gid != want.Gid {
			t.Errorf("%s: got %o %d:%d, want %o %d:%d", name, got.Mode, got.Uid, got.Gid, want.Mode, want.Uid, want.Gid)
		}
	}
	for name, want := range map[string]time.Time{
		".": when, "bin": early.ModTime, "tmp": sticky.ModTime, "tmp/pipe": when, "var/run": when, "bin/su": when,
	} {
		if got := s.lstat(t, name).Mtim.Sec; got != want.Unix() {
			t.Errorf("%s: time is %d, want %d", name, got, want.Unix())
		}
	}
	f, err := s.root.Open("bin/su")
	must(t, err)
	defer f.Close()
	got, err := fileXattrs(int(f.Fd()))
	must(t, err)
	if len(got) != 2 || got[paxXattr+xattrCapability] != capNetRaw || got[paxXattr+"user.note"] != "hi" {
		t.Errorf("extended attributes: %q", got)
	}
	if _, err := s.root.Lstat("dev/null"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dev/null: %v", err)
	}
}

func TestExtractOwner(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	f := file("a/b", "")
	f.Uid = -5 // does not matter then
	su := withXattrs(file("a/su", ""), map[string]string{xattrCapability: capNetRaw, "user.note": "hi"})
	su.Mode = 0o6755
	shared := dir("a/d")
	shared.Mode = 0o3777
	data := stream(t, f, symlink("a/l", "b"), shared, su)
	_, err := Extract(t.Context(), bytes.NewReader(data), s.root, Options{Owner: &Owner{1000, 1001}})
	must(t, err)
	if m := s.lstat(t, "a/su").Mode; m != unix.S_IFREG|0o755 {
		t.Errorf("a setuid program for another owner has mode %o", m)
	}
	if m := s.lstat(t, "a/d").Mode; m != unix.S_IFDIR|0o1777 {
		t.Errorf("a directory for another owner has mode %o", m)
	}
	opened, err := s.root.Open("a/su")
	must(t, err)
	defer opened.Close()
	if x, err := fileXattrs(int(opened.Fd())); err != nil || len(x) != 1 || x[paxXattr+"user.note"] != "hi" {
		t.Errorf("extended attributes for another owner: %q, %v", x, err)
	}
	for _, name := range []string{"a", "a/b", "a/l", "a/d"} {
		if st := s.lstat(t, name); st.Uid != 1000 || st.Gid != 1001 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}

// A default ACL is for what the guest makes later, not for the archive's files.
func TestExtractDefaultACL(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	d := withXattrs(dir("d"), map[string]string{xattrDefaultACL: aclUser1000})
	own := withXattrs(file("d/own", ""), map[string]string{xattrACL: aclUser1000})
	_, err := Extract(t.Context(), bytes.NewReader(stream(t, d, file("d/f", ""), dir("d/e"), own)), s.root, Options{})
	must(t, err)
	for name, want := range map[string]int{"d": 1, "d/f": 0, "d/e": 0, "d/own": 1} {
		f, err := s.root.Open(name)
		must(t, err)
		got, err := fileXattrs(int(f.Fd()))
		must(t, err)
		if len(got) != want {
			t.Errorf("%s: %q", name, got)
		}
		must(t, f.Close())
	}
}

func TestExtractLimits(t *testing.T) {
	t.Parallel()
	data := stream(t, file("a", "12345"), file("b", "67890"), dir("c"))
	for name, tc := range map[string]struct {
		opts Options
		want string
	}{
		"entries fit": {Options{MaxEntries: 3}, ""},
		"bytes fit":   {Options{MaxBytes: 10}, ""},
		"entries":     {Options{MaxEntries: 2}, `entry 3 "c": archive has more than is allowed: 2 entries`},
		"bytes":       {Options{MaxBytes: 9}, `entry 2 "b": archive has more than is allowed: 9 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			_, err := Extract(t.Context(), bytes.NewReader(data), s.root, tc.opts)
			if tc.want == "" {
				must(t, err)
			} else if err == nil || err.Error() != tc.want || !errors.Is(err, ErrTooBig) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestExtractFullDisk(t *testing.T) {
	t.Parallel()
	root := tmpfs(t, "32m")
	noise := strings.Repeat("noise", 2<<20)
	data := stream(t, file("a", noise), file("b", noise), file("c", noise), file("d", noise))
	_, err := Extract(t.Context(), bytes.NewReader(data), root, Options{})
	want := `entry 4 "d": not enough free space: 1 MiB are free, and 1 MiB stay free`
	if !errors.Is(err, ErrSpace) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// tmpfs is a file system of its own, which nothing but the test sees.
func tmpfs(t *testing.T, size string) *os.Root {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	must(t, err)
	defer unix.Close(fs)
	must(t, unix.FsconfigSetString(fs, "size", size))
	must(t, unix.FsconfigCreate(fs))
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(mnt)
	return openRoot(t, procPath(mnt))
}

func TestExtractLeavesHoles(t *testing.T) {
	t.Parallel()
	const size = 4 << 30
	s := newSandbox(t)
	r, w := io.Pipe()
	go func() {
		z := gzip.NewWriter(w)
		tw := tar.NewWriter(z)
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Size: size, Mode: 0o600})
		zeros := make([]byte, 1<<20)
		for range size / len(zeros) {
			tw.Write(zeros)
		}
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "some", Size: 1 << 20, Mode: 0o600})
		copy(zeros[300_000:], "data")
		tw.Write(zeros)
		w.CloseWithError(errors.Join(tw.Close(), z.Close()))
	}()
	plain, err := Decompress(t.Context(), r, "")
	must(t, err)
	var told int64
	_, err = Extract(t.Context(), plain, s.root, Options{Progress: func(n int64) { told = n }})
	must(t, err)
	if st := s.lstat(t, "zeros"); st.Size != size || st.Blocks != 0 {
		t.Errorf("zeros: %d bytes in %d blocks", st.Size, st.Blocks)
	}
	if st := s.lstat(t, "some"); st.Size != 1<<20 || st.Blocks != 8 {
		t.Errorf("some: %d bytes in %d blocks", st.Size, st.Blocks)
	}
	if got := s.read(t, "some"); got[300_000:300_004] != "data" || strings.Trim(got, "\x00") != "data" {
		t.Error("some: wrong content")
	}
	if told < size {
		t.Errorf("progress ended at %d", told)
	}
}

// A reader that cancels the context while an endless file is read.
type canceller struct {
	data   io.Reader
	left   int
	cancel func()
}

func (c *canceller) Read(p []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	if n, err := c.data.Read(p); err == nil {
		return n, nil
	}
	return len(p), nil
}

func TestExtractCancelled(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	var b bytes.Buffer
	must(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "endless", Size: 1 << 50}))
	_, err := Extract(ctx, &canceller{&b, 100, cancel}, s.root, Options{})
	if err != context.Canceled {
		t.Errorf("got %v", err)
	}
}
