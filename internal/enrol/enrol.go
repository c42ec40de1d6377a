// Package enrol tells a guest's own Nix of the systems that the host gives to the
// guest. It works in the guest, with the guest's rights and by the programs of
// its system: a guest that is up to something can harm itself alone.
package enrol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where a Nix keeps what it knows.
const (
	store    = "/nix/store"
	database = "/nix/var/nix/db/db.sqlite"
	profile  = "/nix/var/nix/profiles/system"
	given    = "/nix/var/nix/gcroots/berth/system"
)

// Program is what a system needs for it, below the system's own path.
const Program = "sw/bin/nix-store"

// System registers a system with all that it consists of, in the form of
// nix-store --load-db, and makes it the newest generation of the guest's profile.
// Last comes a root that saves it from garbage collection: while that is there
// nothing is to be done. So it counts once, whatever the guest does with its
// profile afterwards, and again when the host has given another one meanwhile.
func System(ctx context.Context, system string, registration io.Reader) error {
	if to, err := os.Readlink(given); err == nil && to == system {
		if _, err := os.Lstat(database); err == nil {
			return nil
		}
	}
	if err := run(ctx, system, registration, Program, "--load-db"); err != nil {
		return err
	}
	if err := run(ctx, system, nil, "sw/bin/nix-env", "--profile", profile, "--set", system); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(given), 0o755); err != nil {
		return err
	}
	next := given + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.Symlink(system, next), os.Rename(next, given))
}

// run runs a program of Nix, on the guest's own database and without a daemon.
func run(ctx context.Context, system string, in io.Reader, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(system, program), append([]string{"--option", "build-users-group", ""}, args...)...)
	cmd.Env = []string{"PATH=" + filepath.Join(system, "sw/bin"), "HOME=/root", "USER=root", "NIX_REMOTE=local"}
	cmd.Dir = "/"
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}

// Chosen is the system that a guest boots which was given one: what its profile
// leads to, which may be one that it has made itself since.
func Chosen(system string) string {
	to, err := filepath.EvalSymlinks(profile)
	if err != nil || filepath.Dir(to) != store {
		return system
	}
	if info, err := os.Stat(to + "/init"); err != nil || info.Mode()&0o111 == 0 {
		return system
	}
	return to
}
