// Command bench measures berth against its peers, mostly a bare
// systemd-nspawn of the same root with the same isolation, and writes the
// medians as a Markdown table. It runs real guests, as root, below a directory
// of its own that it removes at its end. What needs systemd as PID 1 it measures
// in a nested host where that is not so. It proves nothing: whether berth
// works is for the tests to say.
package main

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/berth-containers/berth/internal/host"
)

// options are the flags.
type options struct {
	berth string
	out   string
	dir   string
	image string
	cache string
	json  bool
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
	f.StringVar(&o.image, "image", "debian:bookworm", "what guests are made of, as in berth image import; a system with systemd")
	f.StringVar(&o.cache, "cache", "/var/cache/berth-test", "`DIRECTORY` that keeps the tree of the nested host")
	f.BoolVar(&o.json, "json", false, "write the table as JSON")
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
	name       string
	supervisor string // of berth's containers
	run        func(context.Context, *lab) ([]row, error)
}

func measurements() []measurement {
	return []measurement{
		{"start+stop", "embedded", measureStart},
		{"create", "embedded", measureCreate},
		{"exec", "embedded", measureExec},
		{"nixos-container", "embedded", measureNixosContainer},
		{"closure", "embedded", measureClosure},
		{"pull", "embedded", measurePull},
		{"update", "embedded", measureUpdate},
		{"ls+memory+hundred", "embedded", measureHundred},
		{"fleet", "embedded", measureFleet},
		{"setup", "embedded", measureSetup},
		{"throughput", "embedded", measureThroughput},
		{"connect", "embedded", measureConnect},
		{"dns", "embedded", measureDNS},
		{"networked", "embedded", measureNetworked},
		{"gate", "embedded", measureGate},
		{"machinectl", "systemd", measureMachinectl},
		{"boot", "systemd", measureBoot},
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
	t := table{Facts: l.facts()}
	var nested []measurement
	for _, m := range chosen {
		if m.supervisor == "systemd" && !host.System().SystemdRuns() {
			nested = append(nested, m)
			continue
		}
		l.say("%s", m.name)
		// Units that berth makes know by themselves.
		if err := os.Setenv("BERTH_SUPERVISOR", m.supervisor); err != nil {
			return err
		}
		rows, failed := m.run(ctx, l)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.Rows = append(t.Rows, rows...)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", m.name, failed))
			t.Failed = append(t.Failed, m.name)
		}
		err = errors.Join(err, l.reset(ctx))
	}
	if len(nested) > 0 {
		found, failed := l.measureNested(ctx, nested)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.Rows, t.Failed = append(t.Rows, found.Rows...), append(t.Failed, found.Failed...)
		err = errors.Join(err, failed)
	}
	t.Facts = append(t.Facts, fact{"load at the end", loadAverage()})
	return errors.Join(err, t.write(l.options))
}

func (t table) write(o options) error {
	var b bytes.Buffer
	t.markdown(&b)
	if o.json {
		b.Reset()
		if err := json.NewEncoder(&b).Encode(t); err != nil {
			return err
		}
	}
	if o.out == "" {
		_, err := os.Stdout.Write(b.Bytes())
		return err
	}
	return os.WriteFile(o.out, b.Bytes(), 0o644)
}
