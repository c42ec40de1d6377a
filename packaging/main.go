// Command packaging makes the Debian and RPM packages of berth, with nfpm. The
// units, the completions and the manual come from the program that is packed.
//
//	go run ./packaging -out dist
//	go run ./packaging -stage DIRECTORY -program PATH
//
// The second only makes what goes with the program, for other packaging systems.
// It needs no root. Packages of the same commit and version are the same files.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// options are the flags.
type options struct {
	version string
	out     string
	archs   []string
	formats []string
	stage   string // empty: packages are made
	program string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	var archs, formats string
	flag.StringVar(&o.version, "version", "", "`VERSION` of the packages (default: that of the newest tag, or of the commit)")
	flag.StringVar(&o.out, "out", "dist", "`DIRECTORY` to make them in")
	flag.StringVar(&archs, "arch", "amd64,arm64", "architectures, as Go names them")
	flag.StringVar(&formats, "formats", "deb,rpm", "kinds of packages")
	flag.StringVar(&o.stage, "stage", "", "make units, completions and the manual in `DIRECTORY`, and no packages")
	flag.StringVar(&o.program, "program", installed, "`PATH` of berth, with -stage")
	flag.Parse()
	o.archs, o.formats = strings.Split(archs, ","), strings.Split(formats, ",")
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.stage != "" {
		return stageShared(o.stage, o.program)
	}
	if o.version == "" {
		if o.version, err = gitVersion(ctx); err != nil {
			return err
		}
	}
	stage, err := os.MkdirTemp("", "berth-packaging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if err := stageShared(stage, installed); err != nil {
		return err
	}
	for _, arch := range o.archs {
		program := filepath.Join(stage, "berth-"+arch)
		if err := build(ctx, program, arch, o.version); err != nil {
			return err
		}
		for _, format := range o.formats {
			if err := pack(ctx, o, stage, arch, format); err != nil {
				return err
			}
		}
	}
	return nil
}

// build makes the program for an architecture.
func build(ctx context.Context, to, arch, version string) error {
	_, err := command(ctx, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch},
		"go", "build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w -X github.com/berth-containers/berth/internal/cli.release="+version,
		"-o", to, "github.com/berth-containers/berth/cmd/berth")
	return err
}

// pack makes one package of what is staged.
func pack(ctx context.Context, o options, stage, arch, format string) error {
	text, err := recipe(values{Stage: stage, Arch: arch, Version: o.version})
	if err != nil {
		return err
	}
	file := filepath.Join(stage, "nfpm-"+arch+".yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	epoch, err := commitTime(ctx)
	if err != nil {
		return err
	}
	_, err = command(ctx, []string{"SOURCE_DATE_EPOCH=" + epoch, "GOARCH=" + runtime.GOARCH},
		"go", "tool", "nfpm", "package", "--config", file, "--packager", format, "--target", o.out)
	return err
}

// gitVersion is that of the tag that the commit has, or one that sorts before
// every release and after older commits.
func gitVersion(ctx context.Context) (string, error) {
	if tag, err := command(ctx, nil, "git", "describe", "--tags", "--match", "v[0-9]*", "--exact-match"); err == nil {
		return strings.TrimPrefix(tag, "v"), nil
	}
	commit, err := command(ctx, nil, "git", "show", "--no-patch", "--format=%cd.%h", "--date=format-local:%Y%m%d%H%M%S", "HEAD")
	return "0.0.0~git" + commit, err
}

// commitTime is when the commit was made, in seconds since 1970.
func commitTime(ctx context.Context) (string, error) {
	return command(ctx, nil, "git", "show", "--no-patch", "--format=%ct", "HEAD")
}

// command runs a program of this machine and returns what it prints.
func command(ctx context.Context, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), "TZ=UTC"), env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%q: %w\n%s%s", argv, err, out, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}
