package image

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/berth-containers/berth/container"
)

// TestOnce: for one piece of work a source is looked at once and read once, and
// what was got then is what there is.
func TestOnce(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "usr"), 0o755))
	ref := container.ImageRef{Kind: container.ImageDir, Arg: dir}
	change := func(name string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644)) }
	work := s.Once()
	if img, current, err := work.Lookup(ctx, ref); err != nil || current || img.Digest != "" {
		t.Fatalf("lookup before: %+v %v %v", img, current, err)
	}
	var all sync.WaitGroup
	var got [4]Image
	for i := range got {
		all.Go(func() {
			img, err := work.Get(ctx, ref)
			if got[i] = img; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	change("first")
	again, err := work.Get(ctx, ref)
	must(t, err)
	img, current, err := work.Lookup(ctx, ref)
	must(t, err)
	for _, other := range append(got[:], again, img) {
		if other.Digest == "" || other.Digest != got[0].Digest || !current {
			t.Errorf("%+v, current %v, and %+v before", other, current, got[0])
		}
	}
	next := s.Once()
	if img, current, err := next.Lookup(ctx, ref); err != nil || current || img.Digest != got[0].Digest {
		t.Errorf("the next piece of work finds %+v %v %v", img, current, err)
	}
	if img, err := next.Get(ctx, ref); err != nil || img.Digest == got[0].Digest {
		t.Errorf("the next piece of work gets %+v, %v", img, err)
	}
	clean(t, s, 2)
}

// TestOnceCurrent: what was found to be as it was is not looked at again.
func TestOnceCurrent(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	ref := put(t, tiny(t))
	first, err := s.Get(ctx, ref)
	must(t, err)
	work := s.Once()
	if img, current, err := work.Lookup(ctx, ref); err != nil || !current || img.Digest != first.Digest {
		t.Fatalf("%+v %v %v", img, current, err)
	}
	must(t, os.WriteFile(ref.Arg, tarOf(t, map[string]string{"usr/": ""}), 0o644))
	if img, err := work.Get(ctx, ref); err != nil || img.Digest != first.Digest {
		t.Errorf("%+v %v", img, err)
	}
}

// TestOnceFails: who asks for what could not be got is told the same.
func TestOnceFails(t *testing.T) {
	t.Parallel()
	s, ctx := newStore(t), t.Context()
	ref := container.ImageRef{Kind: container.ImageTar, Arg: filepath.Join(t.TempDir(), "none.tar")}
	work := s.Once()
	_, first := work.Get(ctx, ref)
	must(t, os.WriteFile(ref.Arg, tiny(t), 0o644))
	if img, err := work.Get(ctx, ref); first == nil || err != first || img.Digest != "" {
		t.Errorf("%v, then %+v, %v", first, img, err)
	}
	if _, err := s.Once().Get(ctx, ref); err != nil {
		t.Error(err)
	}
}
