package nixoscontainer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// options are those of one command line.
type options struct {
	help, unique, autoStart       bool
	bridge, port, systemPath      string
	config, configFile, nixosPath string
	flake                         string
	hostAddress, localAddress     string
	given                         map[string]bool // by name, which of them are there
	nix                           []string        // for Nix, as they are
	args                          []string        // what is no option
}

// option is one of them: what it takes, and where that goes.
type option struct {
	name   string
	values int // that follow it
	set    func(o *options, values []string)
}

func flag(name string, at func(*options) *bool) option {
	return option{name, 0, func(o *options, _ []string) { *at(o) = true }}
}

func text(name string, at func(*options) *string) option {
	return option{name, 1, func(o *options, values []string) { *at(o) = values[0] }}
}

// toNix is an option of Nix's own.
func toNix(name string, values int) option {
	return option{name, values, func(o *options, v []string) { o.nix = append(append(o.nix, "--"+name), v...) }}
}

// known are all options.
func known() []option {
	return []option{
		flag("help", func(o *options) *bool { return &o.help }),
		flag("ensure-unique-name", func(o *options) *bool { return &o.unique }),
		flag("auto-start", func(o *options) *bool { return &o.autoStart }),
		text("bridge", func(o *options) *string { return &o.bridge }),
		text("port", func(o *options) *string { return &o.port }),
		text("system-path", func(o *options) *string { return &o.systemPath }),
		{"signal", 1, func(*options, []string) {}}, // which has never had a meaning
		text("nixos-path", func(o *options) *string { return &o.nixosPath }),
		text("config", func(o *options) *string { return &o.config }),
		text("config-file", func(o *options) *string { return &o.configFile }),
		text("host-address", func(o *options) *string { return &o.hostAddress }),
		text("local-address", func(o *options) *string { return &o.localAddress }),
		text("flake", func(o *options) *string { return &o.flake }),
		toNix("log-format", 1),
		toNix("option", 2),
		toNix("impure", 0),
		toNix("update-input", 1),
		toNix("override-input", 2),
		toNix("commit-lock-file", 0),
		toNix("no-registries", 0),
		toNix("no-update-lock-file", 0),
		toNix("no-write-lock-file", 0),
		toNix("no-allow-dirty", 0),
		toNix("recreate-lock-file", 0),
	}
}

// parse reads a command line as Getopt::Long does with gnu_getopt: options may
// stand anywhere before "--", be shortened where that is clear, be in capitals
// and have one dash; a value follows, or stands behind "=" where there are two
// dashes. Who asks for help is helped, whatever is wrong with the rest.
func parse(args []string) (*options, error) {
	o := &options{given: map[string]bool{}}
	var first error
	for len(args) > 0 && !o.help {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			o.args = append(o.args, args...)
			return o, first
		case word == "-" || !strings.HasPrefix(word, "-"):
			o.args = append(o.args, word)
			continue
		}
		taken, err := o.option(word, args)
		if first == nil {
			first = err
		}
		args = args[taken:]
	}
	if o.help {
		return &options{help: true}, nil
	}
	return o, first
}

// option reads one option, and returns how many of the words behind it are its
// values.
func (o *options) option(word string, rest []string) (taken int, err error) {
	name, value, joined := strings.TrimLeft(word, "-"), "", false
	if strings.HasPrefix(word, "--") {
		name, value, joined = strings.Cut(word[2:], "=")
	}
	f, err := find(name)
	if err != nil {
		return 0, err
	}
	var values []string
	if joined {
		if f.values == 0 {
			return 0, fmt.Errorf("option %s does not take a value", f.name)
		}
		values = []string{value}
	}
	taken = f.values - len(values)
	if taken > len(rest) {
		return 0, fmt.Errorf("option %s needs %s", f.name, map[int]string{1: "a value", 2: "two values"}[f.values])
	}
	o.given[f.name] = true
	f.set(o, append(values, rest[:taken]...))
	return taken, nil
}

// find is the option that a word is the beginning of.
func find(word string) (option, error) {
	word = strings.ToLower(word)
	all := known()
	if i := slices.IndexFunc(all, func(f option) bool { return f.name == word }); i >= 0 {
		return all[i], nil
	}
	like := slices.DeleteFunc(all, func(f option) bool { return word == "" || !strings.HasPrefix(f.name, word) })
	switch len(like) {
	case 0:
		return option{}, fmt.Errorf("unknown option %q", word)
	case 1:
		return like[0], nil
	}
	names := make([]string, len(like))
	for i, f := range like {
		names[i] = f.name
	}
	return option{}, fmt.Errorf("option %q may be any of %s", word, strings.Join(names, ", "))
}

// check is about options that do not go together.
func (o *options) check() error {
	switch {
	case o.given["host-address"] != o.given["local-address"]:
		return errors.New("--host-address and --local-address need each other")
	case o.given["config"] && o.given["config-file"]:
		return errors.New("--config and --config-file exclude each other: give one of them")
	}
	return nil
}
