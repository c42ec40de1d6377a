package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/host"
	"github.com/berth-containers/berth/internal/image"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

// TestPlanReadsOnce: what a plan is about is not read again for each container: not
// the others' records, and not the source of their image.
func TestPlanReadsOnce(t *testing.T) {
	t.Parallel()
	few, looked := readsOfPlan(t, 2)
	many, lookedAgain := readsOfPlan(t, 12)
	if few == 0 || many != few {
		t.Errorf("the record of one is read %d times in a plan for 2, and %d times in one for 12", few, many)
	}
	if looked != 1 || lookedAgain != 1 {
		t.Errorf("the image's source is looked at %d and %d times", looked, lookedAgain)
	}
}

// readsOfPlan counts how often a plan for n containers opens the record of the
// first, and how often it looks at the source of their image.
func readsOfPlan(t *testing.T, n int) (opened, looked int) {
	t.Helper()
	paths := state.Paths{Root: t.TempDir()}
	e := &Engine{Paths: paths, probe: host.System(), supervisor: embedded.New(paths, cgroup.Hierarchies{}),
		Images: image.Open(paths.Images(), image.Options{Tool: func(string) (string, error) { // for each source that is a tar file
			looked++
			return "", errors.New("none")
		}})}
	if err := e.prepare(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	tree := tar.NewWriter(&b)
	ref := container.ImageRef{Kind: container.ImageTar, Arg: filepath.Join(t.TempDir(), "image.tar")}
	if err := errors.Join(tree.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755}), tree.Close(), os.WriteFile(ref.Arg, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	img, err := e.Images.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	var w Wish
	for i := range n {
		s := container.DefaultSpec()
		s.Image, s.PrivateNetwork = ref, true
		s.PrivateUsers = container.PrivateUsers{Mode: container.UsersBase, Base: uint32(1_000_000_000 + i*container.IDRange)}
		name := container.Name(fmt.Sprintf("c%d", i))
		if err := e.place(state.Record{Name: name, Owner: container.OwnerCLI, Digest: img.Digest, Spec: s}); err != nil {
			t.Fatal(err)
		}
		s.Labels = container.Labels{"number": fmt.Sprint(i)}
		s.Ingress = []container.Ingress{{Host: string(name) + ".example.com", Port: 80, TLS: container.TLSOff}}
		w.Containers = append(w.Containers, plan.Wanted{Name: name, Owner: container.OwnerCLI, Spec: s})
	}
	looked = 0
	opens := opensIn(t, paths.Container("c0"), state.SpecFile)
	p, err := e.Plan(t.Context(), w)
	if err != nil || len(p.Steps) != n || p.Empty() {
		t.Fatalf("%+v, %v", p, err)
	}
	return opens(), looked
}

// opensIn counts from now on how often a file in a directory is opened.
func opensIn(t *testing.T, dir, file string) func() int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN|unix.IN_CLOSE); err != nil { // the same twice in a row would be one
		t.Fatal(err)
	}
	return func() (n int) {
		b := make([]byte, 1<<16)
		for {
			got, err := unix.Read(fd, b)
			if err != nil || got <= 0 {
				return n
			}
			n += bytes.Count(b[:got], []byte(file)) / 2
		}
	}
}
