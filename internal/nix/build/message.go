package build

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// failure is why Nix ended with err: the builder that failed with its last
// words, or else what Nix says, without where in Nix's own code it was.
func (l *log) failure(err error) error {
	for _, e := range l.errors {
		if drv := failedBuilder(e); drv != "" {
			return l.builderFailure(drv, e)
		}
	}
	for _, e := range l.errors {
		if text := trim(e); text != "" {
			return &container.Error{Err: errors.New(text), Hint: hint(text)}
		}
	}
	return err
}

// failedBuilder is the derivation whose builder an error is about, or "".
// Others say that they depend on one.
func failedBuilder(e string) string {
	text := plainLines(e)
	if !strings.Contains(text, "builder for '") && !strings.Contains(text, "builder failed") {
		return ""
	}
	return derivationPath().FindString(text)
}

func derivationPath() *regexp.Regexp {
	return regexp.MustCompile(regexp.QuoteMeta(container.StoreDir) + `/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+\.drv`)
}

// builderFailure is the error for a builder that failed.
func (l *log) builderFailure(drv, e string) error {
	how := "failed"
	if m := regexp.MustCompile(`failed (with exit code \d+|due to signal \d+( \([^)]*\))?)`).FindString(plainLines(e)); m != "" {
		how = m
	}
	text := fmt.Sprintf("the builder of %s %s", name(drv), how)
	if said := l.said(drv); len(said) > 0 {
		text += ", and said last:\n    " + strings.Join(said, "\n    ")
	}
	return &container.Error{Err: errors.New(text), Hint: "nix-store --read-log " + drv + " shows all that it said"}
}

// plainLines is a text of several lines, fit to be shown.
func plainLines(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		out = append(out, plain.Text(line))
	}
	return strings.Join(out, "\n")
}

// Bounds on an error of Nix, in lines.
const maxErrorLines = 12

// trim is what a user needs of an error: the innermost one and where it is,
// without the way there and without excerpts of the files.
func trim(e string) string {
	s := plainLines(e)
	if all := regexp.MustCompile(`(?m)^\s*error:`).FindAllStringIndex(s, -1); len(all) > 0 {
		s = s[all[len(all)-1][1]:]
	}
	var out []string
	excerpt, at := regexp.MustCompile(`^\s*(\d+)?\|`), ""
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimSpace(line)
		switch place, isPlace := strings.CutPrefix(line, "at "); {
		case line == "" || excerpt.MatchString(line) || strings.HasPrefix(line, "(use '--show-trace'") || strings.HasPrefix(line, "… "):
		case isPlace && strings.HasSuffix(place, ":") && len(out) > 0:
			at = strings.TrimSuffix(place, ":")
		case len(out) < maxErrorLines:
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		return ""
	}
	if at != "" {
		out[0] = strings.TrimSuffix(out[0], ":") + ", at " + at
		if len(out) > 1 {
			out[0] += ":"
		}
	}
	return strings.Join(out, "\n    ")
}

// hint is what to do about some errors.
func hint(text string) string {
	switch {
	case strings.Contains(text, "'nixpkgs/nixos' was not found in the Nix search path"):
		return "name where nixpkgs is with the key nixpkgs, such as a directory or a URL, or set NIX_PATH"
	case strings.Contains(text, "does not provide attribute"):
		return "nix flake show lists what a flake has"
	case strings.Contains(text, "is not allowed in pure evaluation mode") || strings.Contains(text, "in pure eval mode"):
		return "make it an input of the flake, or pass --impure"
	case strings.Contains(text, "flag '--update-input'") || strings.Contains(text, "flag '--recreate-lock-file'"):
		return "Lix has no such flag; nix flake update does that"
	case strings.Contains(text, "cached failure of attribute"):
		return "pass --option eval-cache false to see why"
	}
	return ""
}

// in says in an error where the text is that Nix calls a string. Its first
// line is line 1+offset of what Nix has read; what stands before is berth's own.
func in(err error, what string, offset int) error {
	place := regexp.MustCompile(`(, at )?(?:«string»|\(string\)):(\d+):(\d+)`)
	return reworded(err, func(text string) string {
		return place.ReplaceAllStringFunc(text, func(s string) string {
			var line, column int
			m := place.FindStringSubmatch(s)
			fmt.Sscan(m[2], &line)
			fmt.Sscan(m[3], &column)
			if line <= offset {
				return ""
			}
			return fmt.Sprintf("%s%s:%d:%d", m[1], what, line-offset, column)
		})
	})
}

// reworded has an error in other words, with the same hint.
func reworded(err error, words func(string) string) error {
	var e *container.Error
	if !errors.As(err, &e) || words(e.Err.Error()) == e.Err.Error() {
		return err
	}
	c := *e
	c.Err = errors.New(words(e.Err.Error()))
	return &c
}
