package build

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Flags are arguments for Nix, in its own form: {"--option", "cores", "2"}.
type Flags []string

// Flag is one that Nix gets as it is.
type Flag struct {
	Name   string
	Short  string // a letter; may be empty
	Values int    // how many words follow
	flake  bool   // for the evaluation of flakes
	module bool   // for that of modules and of files
	build  bool
	// instead is what programs get that do not know the flag.
	instead []string
}

// PassedOn are the flags that there are.
func PassedOn() []Flag {
	flake := func(name string, values int) Flag { return Flag{Name: name, Values: values, flake: true} }
	return []Flag{
		{Name: "option", Values: 2, flake: true, module: true, build: true},
		{Name: "include", Short: "I", Values: 1, flake: true, module: true},
		{Name: "impure", flake: true, module: true},
		{Name: "show-trace", flake: true, module: true},
		{Name: "refresh", flake: true, instead: []string{"--option", "tarball-ttl", "0"}},
		{Name: "offline", flake: true, instead: []string{"--option", "substitute", "false"}},
		flake("accept-flake-config", 0),
		flake("override-input", 2),
		flake("update-input", 1),
		flake("recreate-lock-file", 0),
		flake("no-update-lock-file", 0),
		flake("no-write-lock-file", 0),
		flake("commit-lock-file", 0),
		flake("no-registries", 0),
		flake("no-allow-dirty", 0),
		{Name: "max-jobs", Values: 1, build: true},
		{Name: "cores", Values: 1, build: true},
		{Name: "builders", Values: 1, build: true},
		{Name: "fallback", build: true},
		{Name: "keep-going", build: true},
		{Name: "keep-failed", build: true},
		{Name: "log-format", Values: 1}, // of no effect: berth reads the log itself
	}
}

// ParseFlags makes sure that args are flags of PassedOn with their values.
func ParseFlags(args []string) (Flags, error) {
	for rest := args; len(rest) > 0; {
		f, ok := find(rest[0])
		if !ok || len(rest) <= f.Values {
			return nil, &container.Error{Err: fmt.Errorf("%q is not a flag of Nix that berth passes on, or lacks a value", rest[0]), Code: container.CodeUsage,
				Hint: "other settings of Nix can be given as --option NAME VALUE"}
		}
		rest = rest[1+f.Values:]
	}
	return args, nil
}

func find(arg string) (Flag, bool) {
	all := PassedOn()
	i := slices.IndexFunc(all, func(f Flag) bool { return arg == "--"+f.Name || f.Short != "" && arg == "-"+f.Short })
	if i < 0 {
		return Flag{}, false
	}
	return all[i], true
}

// has reports whether a flag without values is given.
func (f Flags) has(name string) bool { return slices.Contains(f, "--"+name) }

func (f Flags) flake() []string  { return f.of(func(f Flag) bool { return f.flake }) }
func (f Flags) module() []string { return f.of(func(f Flag) bool { return f.module }) }
func (f Flags) build() []string  { return f.of(func(f Flag) bool { return f.build }) }

// of are those that a program knows, and what it gets instead of others.
func (f Flags) of(known func(Flag) bool) []string {
	var out []string
	for rest := []string(f); len(rest) > 0; {
		flag, ok := find(rest[0])
		if !ok || len(rest) <= flag.Values {
			break // ParseFlags lets none through
		}
		if known(flag) {
			out = append(out, rest[:1+flag.Values]...)
		} else {
			out = append(out, flag.instead...)
		}
		rest = rest[1+flag.Values:]
	}
	return out
}

// String is f as one would type it.
func (f Flags) String() string { return strings.Join(f, " ") }
