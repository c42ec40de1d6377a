package declare

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/container"
)

// Position is a place in a declaration. Lines and columns count from 1;
// columns count characters. The zero Position is nowhere in particular.
type Position struct {
	File   string // as the user named it, or what an argument is called
	Line   int    // 0: the whole file or argument
	Column int

	order int // of the file or argument among its like
}

// String has the form FILE:LINE:COLUMN, or FILE without a line.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.order, q.order), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Problem is one thing that is wrong with a declaration.
type Problem struct {
	Pos  Position
	Key  string // such as containers.web.image; may be empty
	Err  error  // what is wrong, in plain words
	Hint string // what to do, where Err does not say it; may be empty
}

// Error is one line of plain ASCII.
func (p *Problem) Error() string {
	var parts []string
	for _, s := range []string{p.Pos.String(), p.Key, p.Err.Error()} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return ascii(strings.Join(parts, ": "))
}

// Unwrap gives Err.
func (p *Problem) Unwrap() error { return p.Err }

// MaxProblems is how many problems are told at once.
const MaxProblems = 20

// Problems is everything that is wrong with declarations, in the order of
// their text, but no more than MaxProblems.
type Problems struct {
	List []*Problem // at least one
	More int        // how many there are beyond List
}

// Error has one line a problem, without hints.
func (p *Problems) Error() string {
	var lines []string
	for _, err := range p.Unwrap() {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives a *container.Error for each problem, with its hint, and one
// more that counts those that are left out.
func (p *Problems) Unwrap() []error {
	var errs []error
	for _, one := range p.List {
		errs = append(errs, &container.Error{Err: one, Hint: ascii(one.Hint), Code: container.CodeUsage})
	}
	if p.More > 0 {
		errs = append(errs, &container.Error{Err: fmt.Errorf("and %s", count(p.More, "more problem")), Code: container.CodeUsage})
	}
	return errs
}

// problemsOf sorts list and cuts it to size; nil if it is empty.
func problemsOf(list []*Problem) error {
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(a, b *Problem) int { return a.Pos.compare(b.Pos) })
	list = slices.CompactFunc(list, func(a, b *Problem) bool {
		return a.Pos == b.Pos && a.Key == b.Key && a.Error() == b.Error()
	})
	told := min(len(list), MaxProblems)
	return &Problems{List: list[:told], More: len(list) - told}
}

// ascii writes every character that is not plain as an escape.
func ascii(s string) string {
	plain := func(r rune) bool { return r >= ' ' && r <= '~' }
	if !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if plain(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// count writes a number and what is counted, such as "1 problem".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
