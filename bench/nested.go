package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/berth-containers/berth/test/hosts/nested"
)

// nestedHost is the distribution of the host that is made for measurements
// that need systemd as PID 1, where it is not.
const nestedHost = "debian13"

// What a nested host gets.
const (
	insideBench = "/usr/local/bin/bench"
	insideBerth = "/usr/local/bin/berth"
	insideImage = "/root/image.tar"
	insideOut   = "/root/bench.json"
)

// measureNested has this program measure inside a nested host, and gives what
// that found out.
func (l *lab) measureNested(ctx context.Context, chosen []measurement) (found table, err error) {
	l.say("make a nested host")
	host, err := l.bootNested(ctx)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	var names []string
	for _, m := range chosen {
		names = append(names, regexp.QuoteMeta(m.name))
	}
	cmd := host.Command(ctx, nil, insideBench, "-berth", insideBerth, "-image", "tar:"+insideImage, "-json", "-out", insideOut,
		"-n", fmt.Sprint(l.n), "-run", "^("+strings.Join(names, "|")+")$")
	cmd.Stderr = os.Stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("inside the nested host: %w", err)
	}
	if ctx.Err() != nil {
		return found, context.Cause(ctx)
	}
	out := l.path("nested.json")
	if failed := host.CopyOut(insideOut, out); failed != nil {
		return found, errors.Join(err, failed)
	}
	b, failed := os.ReadFile(out)
	if failed == nil {
		failed = json.Unmarshal(b, &found)
	}
	return found.inside(), errors.Join(err, failed)
}

// bootNested is a running host with all that is needed to measure there.
func (l *lab) bootNested(ctx context.Context) (_ *nested.Host, err error) {
	t, err := l.debianTree(ctx)
	if err != nil {
		return nil, err
	}
	tar := l.path("image.tar")
	if _, _, err := l.timed(ctx, "tar", "-C", t.rootfs, "--numeric-owner", "--xattrs", "-cf", tar, "."); err != nil {
		return nil, err
	}
	all := nested.Distributions()
	d := all[slices.IndexFunc(all, func(d nested.Distribution) bool { return d.Name == nestedHost })]
	archive, err := d.Tree(ctx, l.cache)
	if err != nil {
		return nil, err
	}
	host, err := nested.New(ctx, nested.Options{Distribution: d, Tree: archive, Dir: l.options.dir})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, host.Close())
		}
	}()
	for from, to := range map[string]string{"/proc/self/exe": insideBench, l.options.berth: insideBerth, tar: insideImage} {
		if err := host.CopyIn(from, to); err != nil {
			return nil, err
		}
	}
	return host, host.Boot(ctx)
}

// inside is the table with a note of where it comes from.
func (t table) inside() table {
	var where []string
	for _, f := range t.Facts {
		if f.Name == "system" || f.Name == "systemd-nspawn" || f.Name == "cgroups" || f.Name == "file system" {
			where = append(where, f.Name+" "+f.Value)
		}
	}
	for i := range t.Rows {
		t.Rows[i].Notes = append(t.Rows[i].Notes, "systemd: measured inside a nested host: "+strings.Join(where, ", "))
	}
	return t
}
