package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/declare"
)

// sourceFlags are the flags of create that set the key a guest comes from.
func sourceFlags() []struct{ flag, key, usage string } {
	return []struct{ flag, key, usage string }{
		{"image", "image", "dir:/PATH, tar:/PATH or debian:SUITE"},
		{"flake", "flake", "a flake's NixOS system, REF#ATTR"},
		{"config", "config", "a NixOS module, or definitions, as text"},
		{"config-file", "configFile", "a file with a NixOS module"},
		{"nixpkgs", "nixpkgs", "the nixpkgs for --config and --config-file: a path, a URL or <name> (default <nixpkgs>)"},
		{"nixos-path", "nixosPath", "the NixOS for them (default <nixpkgs/nixos>)"},
		{"system-path", "system", "a NixOS system that is built, a link to one, or cache+URL/HASH-NAME"},
	}
}

func (a *app) createCmd() *cobra.Command {
	var start bool
	c := &cobra.Command{
		Use: "create NAME --image REFERENCE|--flake REF#ATTR|--config TEXT|--config-file FILE|--system-path PATH [KEY=VALUE...]", Short: "Make a container", Args: takes(1, noLimit),
		Example: "  berth create web --image debian:bookworm\n  berth create db --image debian:trixie limits.memoryMax=1G bindMounts./data.hostPath=/srv/db --start\n  berth create site --system-path ./result --start",
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.open()
			if err != nil {
				return err
			}
			n, err := container.ParseName(args[0])
			if err != nil {
				return usageError(err)
			}
			spec, err := assign(container.DefaultSpec(), args[1:], givenSources(cmd))
			if err != nil {
				return err
			}
			return a.create(cmd.Context(), h, n, spec, start)
		},
	}
	for _, f := range sourceFlags() {
		c.Flags().String(f.flag, "", f.usage)
	}
	c.Flags().BoolVar(&start, "start", false, "start it")
	return a.passFlags(c)
}

// create makes a container, and starts it if that is wanted.
func (a *app) create(ctx context.Context, h *berth.Host, n container.Name, spec container.Spec, start bool) error {
	if _, _, err := h.Spec(n); err == nil {
		return &container.Error{Subject: string(n), Err: container.ErrExists, Hint: fmt.Sprintf("berth set %s KEY=VALUE changes it", n)}
	}
	w := berth.Wish{NixFlags: a.nixFlags, Containers: []berth.Wanted{{Name: n, Owner: container.OwnerCLI, Spec: spec, NoStart: true}}}
	p, err := h.Plan(ctx, w)
	if err != nil {
		return err
	}
	if err := h.Apply(ctx, w, p); err != nil {
		return err
	}
	a.say("%s: created", n)
	if !start && !spec.AutoStart {
		return nil
	}
	return a.tell(n, "ready", h.Start(ctx, n))
}

// givenSources are the flags of create as assignments.
func givenSources(cmd *cobra.Command) []declare.Assignment {
	var out []declare.Assignment
	for _, f := range sourceFlags() {
		if v, _ := cmd.Flags().GetString(f.flag); cmd.Flags().Changed(f.flag) {
			out = append(out, declare.Assignment{Key: f.key, Op: declare.OpSet, Value: v, Origin: "--" + f.flag})
		}
	}
	return out
}

// assign changes a spec by flags and then by arguments.
func assign(spec container.Spec, args []string, first []declare.Assignment) (container.Spec, error) {
	dir, err := os.Getwd()
	if err != nil {
		return spec, err
	}
	if len(first) > 0 {
		if spec, err = declare.Assign(spec, dir, first...); err != nil {
			return spec, err
		}
	}
	return declare.ParseAssignments(spec, args, "argument", dir)
}

func (a *app) setCmd() *cobra.Command {
	var adopt bool
	var f how
	c := a.yesFlag(&cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "Change keys of a container", ValidArgsFunction: a.completeSet, Args: takes(2, noLimit),
		Example: "  berth set web limits.memoryMax=1G\n  berth set web labels.tier=front tmpfs+=/scratch\n  berth set web limits.memoryMax=",
		RunE: a.onOne(func(ctx context.Context, h *berth.Host, n container.Name, args []string) error {
			spec, _, err := h.Spec(n)
			if err != nil {
				return err
			}
			if spec, err = assign(spec, args, nil); err != nil {
				return err
			}
			return a.change(ctx, h, n, spec, adopt, f)
		}),
	})
	c.Flags().BoolVar(&adopt, "adopt", false, "take the container over from its declaration")
	f.flags(c)
	return a.passFlags(c)
}

// change gives a container a new spec.
func (a *app) change(ctx context.Context, h *berth.Host, n container.Name, spec container.Spec, adopt bool, f how) error {
	return a.carryOut(ctx, h, f.on(berth.Wish{Adopt: adopt, KeepImages: true, NixFlags: a.nixFlags,
		Containers: []berth.Wanted{{Name: n, Owner: container.OwnerCLI, Spec: spec, NoStart: true}}}))
}

func (a *app) editCmd() *cobra.Command {
	var adopt bool
	c := a.yesFlag(&cobra.Command{
		Use: "edit NAME", Short: "Change a container in an editor", ValidArgsFunction: a.complete, Args: takes(1, 1),
		Example: "  berth edit web\n  EDITOR=nano berth edit web",
		RunE: a.onOne(func(ctx context.Context, h *berth.Host, n container.Name, _ []string) error {
			spec, owner, err := h.Spec(n)
			if err != nil {
				return err
			}
			if owner != container.OwnerCLI && !adopt {
				return &container.Error{Subject: string(n), Err: fmt.Errorf("%w: %s", container.ErrOwned, owner), Code: container.CodeOwned,
					Hint: owner.HowToChange() + ", or take it over with --adopt"}
			}
			next, file, err := a.edit(n, spec)
			if err != nil || file == "" {
				return err
			}
			if now, _, err := h.Spec(n); err != nil || !reflect.DeepEqual(now, spec) {
				return &container.Error{Subject: string(n), Err: errors.Join(errors.New("another command has changed it meanwhile"), err),
					Hint: "edit it again; what you wrote is in " + file}
			}
			if err := a.change(ctx, h, n, next, adopt, how{}); err != nil {
				a.say("what you wrote is in %s", file)
				return err
			}
			return os.Remove(file)
		}),
	})
	c.Flags().BoolVar(&adopt, "adopt", false, "take the container over from its declaration")
	return a.passFlags(c)
}

// edit lets the user change a spec as a declaration, and returns it and the file
// with what was written; "" if nothing was changed. The file stays, for an error
// may come of it yet.
func (a *app) edit(n container.Name, spec container.Spec) (container.Spec, string, error) {
	f, err := os.CreateTemp("", "berth-*.yaml")
	if err != nil {
		return spec, "", err
	}
	before := declare.Render(n, spec, false)
	if _, err = f.Write(before); err == nil {
		err = a.runEditor(f.Name())
	}
	if err != nil {
		return spec, "", errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	after, err := rereadFile(f)
	if err != nil {
		return spec, "", err
	}
	if bytes.Equal(before, after) {
		a.say("nothing was changed")
		return spec, "", os.Remove(f.Name())
	}
	d, err := declare.ParseEdited(bytes.NewReader(after), f.Name())
	if err != nil {
		return spec, "", err
	}
	if len(d.Containers) != 1 || d.Containers[0].Name != n {
		return spec, "", &container.Error{Err: fmt.Errorf("%s does not declare %s and nothing else", f.Name(), n), Code: container.CodeUsage}
	}
	return d.Containers[0].Spec, f.Name(), nil
}

// rereadFile reads a file that an editor may have replaced.
func rereadFile(f *os.File) ([]byte, error) {
	if err := f.Close(); err != nil {
		return nil, err
	}
	again, err := os.Open(f.Name())
	if err != nil {
		return nil, err
	}
	defer again.Close()
	return io.ReadAll(again)
}

func (a *app) runEditor(path string) error {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
	}
	cmd := exec.Command("/bin/sh", "-c", editor+` "$1"`, "editor", path) // the variable may hold arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Out, a.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %q: %w", editor, err)
	}
	return nil
}
