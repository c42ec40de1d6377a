// Command bench measures berth against its peers, mostly a bare
// systemd-nspawn of the same root with the same isolation, and writes the
// medians as a Markdown table. It runs real guests, as root, below a directory
// of its own that it removes at its end. It proves nothing: whether berth
// works is for the tests to say.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	berth string
	out   string
	dir   string
	run   *regexp.Regexp
	n     int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == launchWord {
		fmt.Fprintln(os.Stderr, "bench:", becomeNspawn(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = runBench(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func parseFlags(args []string) (options, error) {
	var o options
	var pattern string
	var quick bool
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.berth, "berth", "bin/berth", "the `PROGRAM` to measure")
	f.StringVar(&o.out, "out", "", "`FILE` for the table (default: standard output)")
	f.StringVar(&o.dir, "dir", "/var/tmp", "`DIRECTORY` below which everything is made; the peers that copy are measured on its file system")
	f.StringVar(&pattern, "run", "", "measure only what matches the `REGEXP`: "+strings.Join(measurementNames(), " "))
	f.IntVar(&o.n, "n", 11, "how often each thing is measured, after once to warm up")
	f.BoolVar(&quick, "quick", false, "the same as -n 3")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if quick {
		o.n = 3
	}
	if o.n < 1 || f.NArg() > 0 {
		return o, errors.New("-n has to be 1 at least, and there are no arguments")
	}
	var errRun, errBerth, errDir error
	o.run, errRun = regexp.Compile(pattern)
	o.berth, errBerth = filepath.Abs(o.berth)
	o.dir, errDir = filepath.Abs(o.dir)
	return o, errors.Join(errRun, errBerth, errDir)
}

// measurement gives some rows of the table, from guests that it makes and
// takes away.
type measurement struct {
	name string
	run  func(context.Context, *lab) ([]row, error)
}

func measurements() []measurement {
	return []measurement{
		{"start+stop", measureStart},
		{"create", measureCreate},
		{"exec", measureExec},
		{"ls+memory+hundred", measureHundred},
		{"fleet", measureFleet},
	}
}

func measurementNames() []string {
	var out []string
	for _, m := range measurements() {
		out = append(out, m.name)
	}
	return out
}

// runBench writes the table with what could be measured, also where something
// could not.
func runBench(ctx context.Context, o options) (err error) {
	chosen := slices.DeleteFunc(measurements(), func(m measurement) bool { return !o.run.MatchString(m.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("-run matches none of %s", strings.Join(measurementNames(), " "))
	}
	l, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	t := table{facts: l.facts()}
	var errs []error
	for _, m := range chosen {
		l.say("%s", m.name)
		rows, err := m.run(ctx, l)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.rows = append(t.rows, rows...)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			t.failed = append(t.failed, m.name)
		}
		errs = append(errs, l.reset(ctx))
	}
	t.facts = append(t.facts, fact{"load at the end", loadAverage()})
	return errors.Join(append(errs, t.write(o.out))...)
}

func (t table) write(path string) error {
	var b bytes.Buffer
	t.markdown(&b)
	if path == "" {
		_, err := os.Stdout.Write(b.Bytes())
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
