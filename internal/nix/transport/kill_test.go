package transport

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
	"github.com/berth-containers/berth/internal/nix/store"
)

// killedEnv makes the test binary pull a path or collect, and be killed.
const killedEnv = "BERTH_TEST_PULL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(servedEnv); dir != "" {
		if err := Serve(context.Background(), store.Open(dir), os.Stdin, os.Stdout, slices.Contains(os.Args, "--write")); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv(killedEnv); path != "" {
		if err := child(path, os.Getenv(killedEnv+"_CACHE"), store.Open(os.Getenv(killedEnv+"_STORE"))); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child pulls and removes, and pulls again.
func child(path, dir string, s *store.Store) error {
	k, err := nix.ParseKeys([]string{publicKey})
	if err != nil {
		return err
	}
	c, err := cache.Open(dir, cache.Options{})
	if err != nil {
		return err
	}
	if _, err := s.Collect(context.Background(), nil); err != nil {
		return err
	}
	_, err = Pull(context.Background(), s, c, []string{path}, PullOptions{Keys: k})
	return err
}

// Whenever a pull or a collection is killed, the store has whole closures, and
// what else there is goes with the next one.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir, at := t.TempDir(), filepath.Join(t.TempDir(), "nix")
	last := chain(t, dir, 30)
	s := store.Open(at)
	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedEnv+"="+string(last), killedEnv+"_CACHE="+dir, killedEnv+"_STORE="+at)
		return cmd
	}
	must(t, start().Run())
	began := time.Now()
	must(t, start().Run())
	took := time.Since(began)
	killed, partly := 0, 0
	for range 400 {
		if killed == 40 {
			break
		}
		cmd := start()
		must(t, cmd.Start())
		timer := time.AfterFunc(time.Duration(rand.Float64()*float64(took)), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			continue // it was faster
		}
		killed++
		if n := len(whole(t, s)); n > 0 && n < 30 {
			partly++
		}
		_, err = s.Sweep()
		must(t, err)
		tidy(t, at, len(whole(t, s)))
	}
	if killed < 40 || partly == 0 {
		t.Fatalf("%d were killed, %d of them in the middle", killed, partly)
	}
	must(t, start().Run())
	if n := len(whole(t, s)); n != 30 {
		t.Errorf("%d paths", n)
	}
	tidy(t, at, 30)
}

// tidy fails the test where a store has more than its paths.
func tidy(t *testing.T, at string, paths int) {
	t.Helper()
	for pattern, want := range map[string]int{"store/*": paths, "db/*": paths, "db/.*": 0, "staging/*": 0, "staging/.*": 0} {
		names, err := filepath.Glob(filepath.Join(at, pattern))
		must(t, err)
		if len(names) != want {
			t.Errorf("%s: %d files, not %d: %q", pattern, len(names), want, names)
		}
	}
}
