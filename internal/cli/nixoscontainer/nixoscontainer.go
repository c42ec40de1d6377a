// Package nixoscontainer is the command line that berth has when it is called
// nixos-container: the verbs, options, words and exit codes of the program
// that NixOS has under this name. What it prints for people is its own.
package nixoscontainer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// Name is what the program is called then.
const Name = "nixos-container"

// codeFailed is the exit code of everything that fails.
const codeFailed = 1

// Program is what a command line works with.
type Program struct {
	In, Out, Err *os.File
	// PrintError tells an error to people.
	PrintError func(error)
	// Open gives the host, for more than a look at files if root is set.
	Open func(root bool) (*berth.Host, error)
}

// run is one command.
type run struct {
	Program
	*options
	name container.Name
	host berth.Nixos
	all  *berth.Host
	code int // of the command that ran in a guest
}

// Main runs a command line, without the program's name, and returns its exit
// code.
func Main(ctx context.Context, args []string, p Program) int {
	r := &run{Program: p}
	if err := r.main(ctx, args); err != nil {
		p.PrintError(r.worded(err))
		return codeFailed
	}
	return r.code
}

// worded is an error in the words that scripts know from the original.
func (r *run) worded(err error) error {
	var e *container.Error
	if !errors.As(err, &e) || e.Subject != string(r.name) || !errors.Is(e.Err, container.ErrNotFound) {
		return err
	}
	return &container.Error{Err: fmt.Errorf("container %q does not exist", r.name), Hint: e.Hint}
}

func (r *run) main(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return &container.Error{Err: err, Hint: "nixos-container --help shows all options"}
	}
	if r.options = o; o.help {
		_, err := io.WriteString(r.Out, usage)
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if len(o.args) == 0 {
		return &container.Error{Err: errors.New("no action specified"), Hint: "nixos-container --help shows the actions"}
	}
	action, known := actions()[o.args[0]]
	if !known {
		return &container.Error{Err: fmt.Errorf("unknown action %q", o.args[0]), Hint: "nixos-container --help shows the actions"}
	}
	if r.all, err = r.Open(!slices.Contains(open(), o.args[0])); err != nil {
		return err
	}
	r.host = r.all.Nixos()
	if o.args[0] == "list" {
		return r.list()
	}
	if len(o.args) < 2 {
		return errors.New("no container name specified")
	}
	if r.name, err = berth.ParseNixosName(o.args[1]); err != nil {
		return err
	}
	syscall.Umask(0o022)
	return action(r, ctx)
}

// actions are the verbs that are about one container, and list.
func actions() map[string]func(*run, context.Context) error {
	return map[string]func(*run, context.Context) error{
		"list":          nil,
		"create":        (*run).create,
		"destroy":       (*run).destroy,
		"restart":       (*run).restart,
		"start":         (*run).start,
		"stop":          (*run).stop,
		"terminate":     (*run).terminate,
		"status":        (*run).status,
		"update":        (*run).update,
		"login":         (*run).login,
		"root-login":    (*run).rootLogin,
		"run":           (*run).run,
		"show-ip":       (*run).showIP,
		"show-host-key": (*run).showHostKey,
	}
}

// open are the verbs that anybody may use, and that tell what anybody may know.
func open() []string { return []string{"list", "status", "show-ip"} }

// list prints the name of each container. Who may not read what berth keeps gets
// those that have a file.
func (r *run) list() error {
	names, err := r.host.Names()
	for _, n := range names {
		fmt.Fprintf(r.Out, "%s\n", n)
	}
	if errors.Is(err, fs.ErrPermission) {
		fmt.Fprintln(r.Err, "note: root sees containers without a file besides")
		return nil
	}
	return err
}

func (r *run) create(ctx context.Context) error {
	source, err := r.source()
	if err != nil {
		return err
	}
	system := r.systemPath
	if r.flake != "" {
		system = "" // the flake counts
	}
	made, err := r.host.Create(ctx, berth.NixosOptions{
		Name: r.name, Unique: r.unique, AutoStart: r.autoStart, System: system, Source: source, Bridge: r.bridge, Port: r.port,
		HostAddress: r.hostAddress, LocalAddress: r.localAddress, Chosen: !r.given["host-address"],
	})
	if err != nil {
		return err
	}
	switch {
	case made.HostAddress != "" || made.LocalAddress != "":
		fmt.Fprintf(r.Err, "host IP is %s, container IP is %s\n", made.HostAddress, made.LocalAddress)
	case r.bridge != "":
		fmt.Fprintf(r.Err, "the container asks on %s for its IP\n", r.bridge)
	}
	if made.Note != "" {
		fmt.Fprintf(r.Err, "note: %s\n", made.Note)
	}
	if r.unique {
		fmt.Fprintf(r.Out, "%s\n", made.Name)
	}
	return nil
}

func (r *run) destroy(ctx context.Context) error { return r.host.Destroy(ctx, r.name) }

func (r *run) start(ctx context.Context) error { return r.host.Start(ctx, r.name) }

func (r *run) stop(ctx context.Context) error { return r.host.Stop(ctx, r.name, berth.StopLimit) }

func (r *run) terminate(ctx context.Context) error { return r.host.Terminate(ctx, r.name) }

func (r *run) restart(ctx context.Context) error {
	return r.host.Restart(ctx, r.name, berth.StopLimit)
}

// status prints up where the guest is ready, down where it is not, and gone
// where there is no such container, which is an error too.
func (r *run) status(ctx context.Context) error {
	st, err := r.host.State(ctx, r.name)
	word := "down"
	switch {
	case errors.Is(err, container.ErrNotFound):
		word = "gone"
	case err != nil:
		return err
	case st == container.Running || st == container.Paused || st == container.Unsupervised:
		word = "up"
	}
	fmt.Fprintf(r.Out, "%s\n", word)
	return err
}

func (r *run) showIP(ctx context.Context) error {
	a, err := r.host.Address(ctx, r.name)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "%s\n", a)
	return nil
}

func (r *run) showHostKey(context.Context) error {
	key, err := r.host.HostKey(r.name)
	if err != nil {
		return container.Named(r.name, err)
	}
	lines := strings.Split(string(key), "\n")
	for i, line := range lines { // by which the guest gives the terminal no orders
		lines[i] = plain.Text(line)
	}
	_, err = io.WriteString(r.Out, strings.Join(lines, "\n"))
	return err
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// update builds the container's system anew. A flake counts before a module,
// as with create.
func (r *run) update(ctx context.Context) error {
	s, err := r.source()
	if err != nil {
		return err
	}
	return r.host.Update(ctx, r.name, s, func(text string) { fmt.Fprintln(r.Err, text) })
}

// source is what the options say of what a system is built from.
func (r *run) source() (s berth.NixosSource, err error) {
	s = berth.NixosSource{Flake: r.flake, Config: r.config, ConfigFile: r.configFile, NixOSPath: r.nixosPath, Flags: r.nix}
	if s.Flake != "" {
		s.Config, s.ConfigFile = "", ""
	}
	s.Dir, err = os.Getwd()
	return s, err
}
