package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/berth-containers/berth/internal/cli/nixoscontainer"
	"github.com/berth-containers/berth/test/mini-nixos"
)

// perlStart loads the modules that the nixos-container of NixOS loads before it
// does anything, but for File::Slurp where that is not installed.
const perlStart = `use strict; use POSIX; use File::Path; eval { require File::Slurp; File::Slurp->import }; use Fcntl ':flock';
use Getopt::Long qw(:config gnu_getopt no_bundling); use Cwd 'abs_path'; use Time::HiRes; exit 0`

// perlRun does so, and enters the guest as that does, but that the PID of its
// init is known.
const perlRun = `use strict; use POSIX; use File::Path; eval { require File::Slurp; File::Slurp->import }; use Fcntl ':flock';
use Getopt::Long qw(:config gnu_getopt no_bundling); use Cwd 'abs_path'; use Time::HiRes;
exec "nsenter", "-t", "%d", "-m", "-u", "-i", "-n", "-p", "-U", "--", "/run/current-system/sw/bin/bash", "-l", "-c", "exec 'true'"`

// perlRatio is how many times as fast as that berth has to be.
const perlRatio = 0.2

// measureNixosContainer gives the rows of berth under the name nixos-container.
func measureNixosContainer(ctx context.Context, l *lab) (rows []row, err error) {
	systems, err := mininixos.Install(ctx, l.options.cache)
	if err != nil {
		return nil, err
	}
	program := l.path(nixoscontainer.Name)
	if err := os.Symlink(l.options.berth, program); err != nil {
		return nil, err
	}
	// The program has no option for it.
	if err := errors.Join(os.Setenv("BERTH_ROOT", l.paths.Root), os.Setenv("PATH", os.Getenv("PATH")+":"+systems.Nix)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Unsetenv("BERTH_ROOT")) }()
	const name = "drop"
	defer func() {
		_, _, failed := l.timed(context.WithoutCancel(ctx), program, "destroy", name)
		err = errors.Join(err, failed)
	}()
	for _, args := range [][]string{{"create", name, "--system-path", systems.Systems["one"]}, {"start", name}, {"run", name, "--", "systemctl", "is-system-running", "--wait"}} {
		if _, _, err := l.timed(ctx, program, args...); err != nil {
			return nil, err
		}
	}
	verbs := [][]string{{"list"}, {"status", name}, {"run", name, "--", "true"}}
	trials := []trial{l.timedTrial("perl", "-e", perlStart)}
	for _, args := range verbs {
		trials = append(trials, l.timedTrial(program, args...))
	}
	s, err := interleave(ctx, short*l.n, trials...)
	if err != nil {
		return nil, err
	}
	leader, err := l.leader(ctx, name)
	if err != nil {
		return nil, err
	}
	whole, err := interleave(ctx, short*l.n, trials[len(trials)-1], l.timedTrial("perl", "-e", fmt.Sprintf(perlRun, leader)))
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("the Perl of nixos-container: it loads the modules that %s of NixOS loads, and ends; what that does then comes on top", filepath.Base(program))
	for i, args := range verbs {
		rows = append(rows, row{What: "nixos-container " + args[0] + ", against the start of its Perl", Berth: s[i+1][0], Peer: s[0][0], Ratio: perlRatio, Notes: []string{note}})
	}
	return append(rows, row{What: "nixos-container run, against its Perl and how that gets into the guest", Berth: whole[0][0], Peer: whole[1][0], Ratio: 1, Notes: []string{
		"how that gets into the guest: `nsenter -t LEADER -m -u -i -n -p --` and a login shell; the original asks machined for the leader besides, and starts su"}}), nil
}
