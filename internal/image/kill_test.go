package image

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
)

// killedEnv makes the test binary import an image and be killed.
const killedEnv = "BERTH_TEST_IMPORT"

func TestMain(m *testing.M) {
	if ref := os.Getenv(killedEnv); ref != "" {
		os.Exit(importChild(ref, os.Getenv(killedEnv+"_STORE")))
	}
	os.Exit(m.Run())
}

func importChild(ref, dir string) int {
	r, err := container.ParseImageRef(ref)
	if err == nil {
		_, err = Open(dir, Options{}).Import(context.Background(), r)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	return 0
}

// Whenever an import is killed, Sweep makes the store clean, and the next
// import works.
func TestKilledImports(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 400 {
		files[fmt.Sprintf("usr/d%d/f", i)] = strings.Repeat("x", 10_000)
	}
	ref := put(t, gz(t, tarOf(t, files)))
	start := time.Now()
	must(t, child(t, ref, newStore(t).dir).Run())
	took := time.Since(start)
	s, killed := newStore(t), 0
	for range 200 {
		if killed == 25 {
			break
		}
		cmd := child(t, ref, s.dir)
		must(t, cmd.Start())
		timer := time.AfterFunc(time.Duration(rand.Float64()*float64(took)), func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			continue // it was faster
		}
		killed++
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := s.List()
		must(t, err)
		clean(t, s, len(list))
		for _, img := range list {
			whole(t, img, len(files))
		}
	}
	if killed < 25 {
		t.Fatalf("only %d imports were killed", killed)
	}
	img, err := s.Import(t.Context(), ref)
	must(t, err)
	whole(t, img, len(files))
	clean(t, s, 1)
}

func child(t *testing.T, ref container.ImageRef, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedEnv+"="+ref.String(), killedEnv+"_STORE="+dir)
	return cmd
}

// whole fails the test where an image is in the store but not complete.
func whole(t *testing.T, img Image, files int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(img.Rootfs, "usr/*/f"))
	must(t, err)
	if len(names) != files {
		t.Fatalf("the image has %d files of %d", len(names), files)
	}
}
