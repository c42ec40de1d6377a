package closure

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/plain"
)

// Nix is the store of the host's Nix, of any version that has nix-store(1).
// The zero Nix is for use.
type Nix struct {
	// Program is nix-store; empty: where it usually is.
	Program string
}

// Closure asks Nix, which knows of whole paths alone.
func (x Nix) Closure(ctx context.Context, p container.StorePath) (Closure, error) {
	out, err := x.run(ctx, "--query", "--requisites", string(p))
	if err != nil {
		return Closure{}, &container.Error{Err: fmt.Errorf("system: %w", err), Hint: "build it on this host, or bring it here with nix copy or berth nix pull"}
	}
	c := Closure{System: p, Dir: container.StoreDir}
	for line := range strings.Lines(out) {
		path, err := container.ParseStorePath(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return c, fmt.Errorf("nix-store --query --requisites %s: %w", p, err)
		}
		c.Paths = append(c.Paths, path)
	}
	slices.SortFunc(c.Paths, func(a, b container.StorePath) int { return cmp.Compare(a, b) })
	c.Paths = slices.Compact(c.Paths)
	if _, found := slices.BinarySearch(c.Paths, p); !found {
		return c, fmt.Errorf("nix-store --query --requisites %s: it is not part of the answer", p)
	}
	return c, nil
}

// Keep makes an indirect root: Nix notes the link, and forgets it when it is
// gone. Asking Nix to do so is what keeps a collection that is under way from
// missing it.
func (x Nix) Keep(ctx context.Context, p container.StorePath, link string) error {
	if _, err := x.run(ctx, "--realise", string(p), "--add-root", link, "--indirect"); err != nil {
		return fmt.Errorf("system: keep %s from garbage collection: %w", p, err)
	}
	return nil
}

// Registration is what Nix has in its database.
func (x Nix) Registration(ctx context.Context, c Closure) ([]byte, error) {
	args := []string{"--dump-db"}
	for _, p := range c.Paths {
		args = append(args, string(p))
	}
	out, err := x.run(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("system: what the host's Nix knows of %s: %w", c.System, err)
	}
	return []byte(out), nil
}

// run returns what nix-store says.
func (x Nix) run(ctx context.Context, args ...string) (string, error) {
	program, err := x.program()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", reason(said.String(), err)
	}
	return out.String(), nil
}

// reason is why nix-store says that it ended with err: in its last words,
// which warnings may precede.
func reason(said string, err error) error {
	if i := strings.LastIndex(said, "error: "); i >= 0 {
		said = said[i+len("error: "):]
	}
	if text := plain.Text(strings.Join(strings.Fields(said), " ")); text != "" {
		return errors.New(text)
	}
	return err
}

func (x Nix) program() (string, error) { return nix.Program(cmp.Or(x.Program, "nix-store")) }

// Sizes implements Sizer, and asks Nix once.
func (x Nix) Sizes(ctx context.Context, closures ...Closure) ([]int64, error) {
	args := []string{"--query", "--size"}
	for _, c := range closures {
		for _, p := range c.Paths {
			args = append(args, string(p))
		}
	}
	out, err := x.run(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("sizes of store paths: %w", err)
	}
	lines := strings.Fields(out)
	if len(lines) != len(args)-2 {
		return nil, fmt.Errorf("nix-store --query --size: %d answers about %d paths", len(lines), len(args)-2)
	}
	sizes := make([]int64, len(closures))
	for i, c := range closures {
		for range c.Paths {
			n, err := strconv.ParseInt(lines[0], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("size of %s: %w", c.System, err)
			}
			sizes[i], lines = sizes[i]+n, lines[1:]
		}
	}
	return sizes, nil
}
