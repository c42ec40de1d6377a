package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/test/hosts/nested"
)

// workbench has what is taken to every host.
type workbench struct {
	options
	dir string // the programs; hosts see it as programs
}

// Where hosts see what is theirs.
const (
	programs    = "/opt/berth"
	insideCache = "/var/cache/berth-test"
)

func newBench(ctx context.Context, o options) (_ *workbench, err error) {
	dir, err := os.MkdirTemp(o.dir, "berth-programs-")
	if err != nil {
		return nil, err
	}
	b := &workbench{options: o, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	return b, b.build(ctx)
}

// Close removes the programs.
func (b *workbench) Close() error { return os.RemoveAll(b.dir) }

// build makes berth, the suites, the init of the tiny guest, and the packages
// of two versions, of which the second is the newer one. A command needs no
// packages.
func (b *workbench) build(ctx context.Context) error {
	berth := []string{"go", "build", "-o", b.program("berth"), "github.com/berth-containers/berth/cmd/berth"}
	if b.berth != "" {
		berth = []string{"cp", "--", b.berth, b.program("berth")}
	}
	steps := [][]string{
		berth,
		{"go", "test", "-c", "-tags", "e2e", "-o", b.program("e2e"), "github.com/berth-containers/berth/test/e2e"},
		{"go", "build", "-o", b.program("tinyinit"), "github.com/berth-containers/berth/test/e2e/tinyinit"},
	}
	if len(b.command) == 0 {
		steps = append(steps, []string{"go", "test", "-c", "-tags", "packages", "-o", b.program("packages"), "github.com/berth-containers/berth/test/packages"},
			packagesOf("1.0.0", b.program("debs")), packagesOf("1.0.1", b.program("debs")))
	}
	for _, argv := range steps {
		if err := command(ctx, nil, argv...); err != nil {
			return err
		}
	}
	return nil
}

// packagesOf is the command that makes the Debian package of a version.
func packagesOf(version, dir string) []string {
	return []string{"go", "run", "github.com/berth-containers/berth/packaging", "-version", version, "-out", dir, "-arch", runtime.GOARCH, "-formats", "deb"}
}

func (b *workbench) program(name string) string { return filepath.Join(b.dir, name) }

// cacheImages has the suite make its images on this machine, where they can be
// made, if they are not cached yet.
func (b *workbench) cacheImages(ctx context.Context) error {
	return command(ctx, []string{
		"BERTH_TEST_BIN=" + b.program("berth"), "BERTH_TEST_TINYINIT=" + b.program("tinyinit"), "BERTH_TEST_CACHE=" + b.cache,
	}, b.program("e2e"), "-test.run=^$")
}

func command(ctx context.Context, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w\n%s", argv, errors.Join(err, context.Cause(ctx)), out)
	}
	return nil
}

// on does what is to be done on one host, and returns its closing line.
func (b *workbench) on(ctx context.Context, d nested.Distribution) (closing string, ok bool) {
	r := &results{host: d.Name, out: os.Stderr, all: b.verbose}
	if err := b.visit(ctx, d, r); err != nil {
		r.problem(err)
	}
	return r.closing(), r.ok()
}

// visit makes a host, uses it, and removes it.
func (b *workbench) visit(ctx context.Context, d nested.Distribution, r *results) (err error) {
	say := func(what string, begun time.Time) {
		fmt.Fprintf(os.Stderr, "%s: %s in %.1f s\n", d.Name, what, time.Since(begun).Seconds())
	}
	begun := time.Now()
	if err := b.cacheImages(ctx); err != nil {
		return err
	}
	tree, err := d.Tree(ctx, b.cache)
	if err != nil {
		return err
	}
	host, err := nested.New(ctx, nested.Options{
		Distribution: d, Tree: tree, Dir: b.options.dir,
		Binds: map[string]string{programs: b.dir, insideCache: b.cache},
	})
	if err != nil {
		return err
	}
	defer func() {
		begun := time.Now()
		err = errors.Join(err, host.Close())
		say("removed", begun)
	}()
	if err := host.CopyIn(b.program("berth"), "/usr/local/bin/berth"); err != nil {
		return err
	}
	say("made", begun)
	begun = time.Now()
	if err := host.Boot(ctx); err != nil {
		return err
	}
	say("booted", begun)
	begun = time.Now()
	defer func() { say("done", begun) }()
	if len(b.command) > 0 {
		return b.runCommand(ctx, host)
	}
	return b.runSuite(ctx, host, r)
}

func (b *workbench) runCommand(ctx context.Context, host *nested.Host) error {
	cmd := host.Command(ctx, nil, b.command...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func (b *workbench) runSuite(ctx context.Context, host *nested.Host, r *results) error {
	for _, suite := range []string{"e2e", "packages"} { // the second changes the host
		if err := b.runTests(ctx, host, r, suite); err != nil {
			return err
		}
	}
	if r.passed+len(r.failed) == 0 {
		return errors.New("no test was run")
	}
	return nil
}

// runTests runs one of the suites on a host.
func (b *workbench) runTests(ctx context.Context, host *nested.Host, r *results, suite string) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout+time.Minute) // the suite itself knows better what hangs
	defer cancel()
	cmd := host.Command(ctx, b.environment(), filepath.Join(programs, suite),
		"-test.v=test2json", "-test.run="+b.run, "-test.timeout="+b.timeout.String())
	cmd.Stdout, cmd.Stderr = r, r
	before := len(r.failed)
	err := cmd.Run()
	r.end()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && len(r.failed) == before:
		return fmt.Errorf("the suite %s ended with an error beside its tests: %w", suite, err)
	}
	return nil
}

// environment is what the suite gets on a host.
func (b *workbench) environment() []string {
	env := []string{"BERTH_TEST_BIN=/usr/local/bin/berth", "BERTH_TEST_TINYINIT=" + programs + "/tinyinit", "BERTH_TEST_CACHE=" + insideCache}
	ours := []string{"BERTH_TEST_BIN", "BERTH_TEST_TINYINIT", "BERTH_TEST_CACHE", "BERTH_TEST_DIR"}
	for _, e := range os.Environ() {
		key, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(key, "BERTH_TEST_") && !slices.Contains(ours, key) {
			env = append(env, e)
		}
	}
	if b.supervisor != "" {
		env = append(env, "BERTH_SUPERVISOR="+b.supervisor)
	}
	return env
}
