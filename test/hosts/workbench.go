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
	"sync"
	"time"

	"github.com/berth-containers/berth/test/hosts/nested"
)

// workbench has what is taken to every host.
type workbench struct {
	options
	dir  string                       // the programs; hosts see it as programs
	left map[string]map[string]string // what hosts leave to others; see deal

	memory uint64 // in which a nested host has its disk; 0: on this machine's disk
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
	others := slices.DeleteFunc(slices.Clone(o.hosts), func(h string) bool { return h == thisMachine })
	b := &workbench{options: o, dir: dir, memory: memoryFor(min(o.jobs, len(others)))}
	b.share()
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
// packages. Linkers use one processor most of the time, so that all run at once.
func (b *workbench) build(ctx context.Context) error {
	berth := []string{"go", "build", "-ldflags=-s -w", "-o", b.program("berth"), "github.com/berth-containers/berth/cmd/berth"}
	if b.berth != "" {
		berth = []string{"cp", "--", b.berth, b.program("berth")}
	}
	steps := [][]string{
		berth,
		{"go", "test", "-c", "-ldflags=-s -w", "-tags", "e2e", "-o", b.program("e2e"), "github.com/berth-containers/berth/test/e2e"},
		{"go", "test", "-c", "-ldflags=-s -w", "-tags", "inside", "-o", b.program("inside"), "github.com/berth-containers/berth/test/hosts/inside"},
		{"cp", "-r", "examples/hello", b.program("hello")},
		{"cp", "-r", "examples", b.program("examples")},
		{"go", "build", "-o", b.program("tinyinit"), "github.com/berth-containers/berth/test/e2e/tinyinit"},
	}
	if len(b.command) == 0 && slices.ContainsFunc(b.hosts, func(name string) bool { return slices.Contains(b.suites(name), "packages") }) {
		steps = append(steps, []string{"go", "test", "-c", "-ldflags=-s -w", "-tags", "packages", "-o", b.program("packages"), "github.com/berth-containers/berth/test/packages"},
			packagesOf("1.0.0", b.program("packages-built")), packagesOf("1.0.1", b.program("packages-built")))
	}
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, argv := range steps {
		wg.Go(func() { errs[i] = command(ctx, nil, argv...) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// packagesOf is the command that makes the packages of a version.
func packagesOf(version, dir string) []string {
	return []string{"go", "run", "github.com/berth-containers/berth/packaging", "-version", version, "-out", dir, "-arch", runtime.GOARCH, "-formats", "deb,rpm"}
}

func (b *workbench) program(name string) string { return filepath.Join(b.dir, name) }

// cacheImages has the suite make its images on this machine, where they can be
// made, if they are not cached yet.
func (b *workbench) cacheImages(ctx context.Context) error {
	return command(ctx, []string{
		"BERTH_TEST_BIN=" + b.program("berth"), "BERTH_TEST_TINYINIT=" + b.program("tinyinit"), "BERTH_TEST_EXAMPLES=" + b.program("examples"), "BERTH_TEST_CACHE=" + b.cache, "BERTH_TEST_ONLY_CACHE=1",
	}, b.program("e2e"))
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
func (b *workbench) on(ctx context.Context, name string) *results {
	r := &results{host: name, out: os.Stderr, all: b.verbose, partly: b.partly(name)}
	visit := b.visit
	if name == thisMachine {
		visit = b.stay
	}
	if err := visit(ctx, name, r); err != nil {
		r.problem(err)
	}
	return r
}

func say(host, what string, begun time.Time) {
	fmt.Fprintf(os.Stderr, "%s: %s in %.1f s\n", host, what, time.Since(begun).Seconds())
}

// stay takes the suite through this machine, under the embedded supervisor.
func (b *workbench) stay(ctx context.Context, name string, r *results) error {
	defer say(name, "done", time.Now())
	env := []string{
		"BERTH_TEST_BIN=" + b.program("berth"), "BERTH_TEST_TINYINIT=" + b.program("tinyinit"), "BERTH_TEST_EXAMPLES=" + b.program("examples"), "BERTH_TEST_CACHE=" + b.cache,
		"BERTH_TEST_DIR=" + b.options.dir, "BERTH_SUPERVISOR=embedded",
	}
	// It has the most to do, and no weight of its own.
	return b.runSuite(ctx, r, 6, "", func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, b.program("e2e"), args...)
		cmd.Env = append(os.Environ(), env...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 30 * time.Second
		return cmd
	})
}

// visit makes a host, uses it, and removes it.
func (b *workbench) visit(ctx context.Context, name string, r *results) (err error) {
	d := distribution(name)
	begun := time.Now()
	tree, err := d.Tree(ctx, b.cache)
	if err != nil {
		return err
	}
	host, err := nested.New(ctx, nested.Options{
		Distribution: d, Tree: tree, Dir: b.options.dir,
		Binds: map[string]string{programs: b.dir, insideCache: b.cache}, Memory: b.memory,
	})
	if err != nil {
		return err
	}
	defer func() {
		begun := time.Now()
		err = errors.Join(err, host.Close())
		say(name, "removed", begun)
	}()
	if err := host.CopyIn(b.program("berth"), "/usr/local/bin/berth"); err != nil {
		return err
	}
	say(name, map[bool]string{true: "made in memory", false: "made"}[b.memory > 0], begun)
	begun = time.Now()
	if err := host.Boot(ctx); err != nil {
		return err
	}
	say(name, "booted", begun)
	defer func(begun time.Time) {
		say(name, fmt.Sprintf("done, with %.0f s of the processors", host.Processors().Seconds()), begun)
	}(time.Now())
	if len(b.command) > 0 {
		return b.runCommand(ctx, host)
	}
	for _, suite := range b.suites(name) {
		begun := time.Now()
		if err := b.runOn(ctx, host, r, suite); err != nil {
			return err
		}
		say(name, suite, begun)
	}
	return nil
}

func distribution(name string) nested.Distribution {
	all := nested.Distributions()
	if i := slices.IndexFunc(all, func(d nested.Distribution) bool { return d.Name == name }); i >= 0 {
		return all[i]
	}
	return nested.Distribution{}
}

// suites are those that a nested host goes through, in this order: the later
// ones change the host.
func (b *workbench) suites(host string) []string {
	switch {
	case distribution(host).Managers:
		return []string{"managers"}
	case b.suite != "":
		return []string{b.suite}
	case b.run != "" || b.supervisor == "embedded":
		return []string{"e2e"}
	}
	return []string{"e2e", "faults", "packages"}
}

// runOn runs one of the suites on a nested host.
func (b *workbench) runOn(ctx context.Context, host *nested.Host, r *results, suite string) error {
	switch suite {
	case "faults":
		return b.runInside(ctx, host, r, "^TestBefore", "^TestAfter")
	case "managers":
		return b.runInside(ctx, host, r, "^TestBeside"+b.run)
	}
	skip := ""
	if suite == "e2e" {
		skip = b.leaves(host.Name)
	}
	return b.runSuite(ctx, r, 3, skip, func(ctx context.Context, args ...string) *exec.Cmd {
		return host.Command(ctx, b.environment(), append([]string{filepath.Join(programs, suite)}, args...)...)
	})
}

// runInside takes parts of the suite inside through a host, with a boot in
// between.
func (b *workbench) runInside(ctx context.Context, host *nested.Host, r *results, parts ...string) error {
	for i, part := range parts {
		if i > 0 {
			if err := errors.Join(host.PowerOff(ctx), host.Boot(ctx)); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, b.timeout)
		cmd := host.CommandBeside(ctx, b.environment(), filepath.Join(programs, "inside"), "-test.v=test2json", "-test.run="+part)
		cmd.Stdout, cmd.Stderr = r, r
		before := r.passed + len(r.failed)
		err := cmd.Run()
		cancel()
		r.end()
		if r.passed+len(r.failed) == before || err != nil && r.ok() {
			return fmt.Errorf("%s did not run: %w", part, err)
		}
	}
	return nil
}

func (b *workbench) runCommand(ctx context.Context, host *nested.Host) error {
	cmd := host.Command(ctx, nil, b.command...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// runSuite takes a suite but for the tests that match skip through a host, so
// many tests at a time, on which start makes its command.
func (b *workbench) runSuite(ctx context.Context, r *results, parallel int, skip string, start func(ctx context.Context, args ...string) *exec.Cmd) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout+time.Minute) // the suite itself knows better what hangs
	defer cancel()
	cmd := start(ctx, "-test.v=test2json", fmt.Sprintf("-test.parallel=%d", parallel), "-test.run="+b.run, "-test.skip="+skip, "-test.timeout="+b.timeout.String())
	cmd.Stdout, cmd.Stderr = r, r
	passed, failed := r.passed, len(r.failed)
	err := cmd.Run()
	r.end()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && len(r.failed) == failed:
		return fmt.Errorf("%s ended with an error beside its tests: %w", filepath.Base(cmd.Path), err)
	case r.passed == passed && len(r.failed) == failed:
		return errors.New("no test was run")
	}
	return nil
}

// environment is what the suite gets on a host.
func (b *workbench) environment() []string {
	env := []string{
		"BERTH_TEST_BIN=/usr/local/bin/berth", "BERTH_TEST_TINYINIT=" + programs + "/tinyinit", "BERTH_TEST_EXAMPLES=" + programs + "/examples", "BERTH_TEST_CACHE=" + insideCache,
		"BERTH_TEST_KILLS=12", "BERTH_TEST_UPDATE_KILLS=64", // the first on each host, and more on this machine; the second is shared
	}
	ours := []string{"BERTH_TEST_BIN", "BERTH_TEST_TINYINIT", "BERTH_TEST_EXAMPLES", "BERTH_TEST_CACHE", "BERTH_TEST_DIR"}
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
