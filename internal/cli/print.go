package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/berth-containers/berth/container"
)

// printError prints an error, or each of several that were joined, with its
// hints.
func (a *app) printError(err error) {
	for _, e := range leaves(err) {
		text := e.Error()
		if errors.Is(e, context.Canceled) { // by a signal
			text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
		}
		fmt.Fprintf(a.Err, "%s: %s\n", a.program, text)
		var known *container.Error
		switch {
		case errors.As(e, &known) && known.Hint != "":
			fmt.Fprintf(a.Err, "hint: %s\n", known.Hint)
		case errors.Is(e, syscall.EROFS):
			fmt.Fprintln(a.Err, "hint: that file system is mounted read-only; if nobody has mounted it so, the kernel has, after an error of the disk that dmesg shows")
		case errors.Is(e, syscall.ENOSPC):
			fmt.Fprintln(a.Err, "hint: make room; berth image prune removes images that no container uses")
		}
	}
}

// leaves are the errors that were joined into err.
func leaves(err error) []error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range j.Unwrap() {
		out = append(out, leaves(e)...)
	}
	return out
}

// printJSON prints an answer in JSON.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.Out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// say tells what was done; it is talk, not the answer.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.Err, format+"\n", args...) }

// table prints rows in columns, under a row of titles.
func table(w io.Writer, rows [][]string) error {
	b := bufio.NewWriter(w) // a tabwriter writes cell by cell
	t := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return errors.Join(t.Flush(), b.Flush())
}

// ago is how long something has lasted, in its greatest unit.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dmin", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// size is an amount of data for people.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	default:
		return fmt.Sprintf("%d B", n)
	}
}

// printPlan prints a plan as its owner reads it: a line for each container,
// and below it a line for each change.
func (a *app) printPlan(w io.Writer, p container.Plan) {
	for _, s := range p.Networks {
		fmt.Fprintln(w, stepLine(container.Step{Name: container.Name("network " + s.Name), Action: s.Action, Why: s.Why}))
		printChanges(w, s.Changes)
	}
	for _, s := range p.Steps {
		fmt.Fprintln(w, stepLine(s))
		printChanges(w, s.Changes)
		if s.Packages != nil {
			printPackages(w, *s.Packages)
		}
		for _, n := range s.Notes {
			fmt.Fprintf(w, "    note: %s\n", n)
		}
	}
}

func printChanges(w io.Writer, changes []container.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "    %s: %s -> %s (%s)\n", c.Key, orUnset(c.Old), orUnset(c.New), c.Effect)
	}
}

func stepLine(s container.Step) string {
	line := fmt.Sprintf("%s: %s", s.Name, actionWord(s))
	if s.Why != "" {
		line += " (" + s.Why + ")"
	}
	return line
}

func actionWord(s container.Step) string {
	switch s.Action {
	case container.ActionNone:
		return "nothing to do"
	case container.ActionCreate:
		if s.Start {
			return "create, start"
		}
		return "create"
	case container.ActionStart:
		return "start"
	case container.ActionDestroy:
		return "destroy"
	}
	word := "update"
	if s.Effect != container.EffectNone {
		word += ", effect " + s.Effect.String()
	}
	if s.Effect == container.EffectRecreate {
		word += " (what the guest changed is set aside in generations/)"
	}
	if s.Start {
		word += ", start"
	}
	return word
}

func orUnset(s string) string {
	if s == "" {
		return "unset"
	}
	return s
}
