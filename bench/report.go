package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// row is one line of the table.
type row struct {
	what  string
	unit  string // "ms" if empty
	berth samples
	peer  samples // of the same unit; none for an absolute target
	// quoted says where the peer's value comes from if it was not measured.
	quoted string
	// ratio and absolute bound the quotient of the medians, and berth's
	// median; 0: no target.
	ratio, absolute float64
	notes           []string
}

// table is the whole answer.
type table struct {
	facts  []fact
	rows   []row
	failed []string // measurements without all of their rows
}

// fact is something to know about the machine.
type fact struct{ name, value string }

func (t table) markdown(w io.Writer) {
	fmt.Fprint(w, "# berth and its peers\n\n")
	for _, f := range t.facts {
		fmt.Fprintf(w, "- %s: %s\n", f.name, f.value)
	}
	fmt.Fprint(w, "\nMedians. A ratio is berth's median by the peer's: below 1 berth is the faster or the smaller one.\n"+
		"Peers are measured in turn with berth, after one round to warm up; n is the number of rounds.\n\n"+
		"| what | berth | peer | ratio | target | met | n | berth min-max | peer min-max |\n"+
		"| --- | ---: | ---: | ---: | --- | --- | ---: | --- | --- |\n")
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r.cells(), " | "))
	}
	for _, f := range t.failed {
		fmt.Fprintf(w, "| %s: could not be measured | | | | | no | | | |\n", f)
	}
	fmt.Fprint(w, "\n")
	var seen []string
	for _, r := range t.rows {
		for _, n := range r.notes {
			if !slices.Contains(seen, n) {
				seen = append(seen, n)
				fmt.Fprintf(w, "- %s\n", n)
			}
		}
	}
}

func (r row) cells() []string {
	peer, spread := "", ""
	if len(r.peer) > 0 {
		peer, spread = r.value(r.peer.median()), r.spread(r.peer)
	}
	if r.quoted != "" {
		peer, spread = peer+" (quoted)", r.quoted
	}
	ratio := ""
	if q, ok := r.quotient(); ok {
		ratio = fmt.Sprintf("%.3g", q)
	}
	return []string{r.what, r.value(r.berth.median()), peer, ratio, r.target(), r.met(), fmt.Sprint(len(r.berth)), r.spread(r.berth), spread}
}

func (r row) quotient() (float64, bool) {
	p := r.peer.median()
	if p == 0 {
		return 0, false
	}
	return r.berth.median() / p, true
}

func (r row) target() string {
	switch {
	case r.ratio > 0 && r.ratio < 0.5:
		return fmt.Sprintf("<= %.4g (%.3g times faster)", r.ratio, 1/r.ratio)
	case r.ratio > 0:
		return fmt.Sprintf("<= %.2f", r.ratio)
	case r.absolute > 0:
		return "<= " + r.value(r.absolute)
	default:
		return ""
	}
}

// met says whether the target is met, and nothing for a row without one.
func (r row) met() string {
	q, ok := r.quotient()
	switch {
	case r.ratio == 0 && r.absolute == 0:
		return ""
	case r.ratio > 0 && ok && q <= r.ratio, r.absolute > 0 && r.berth.median() <= r.absolute:
		return "yes"
	default:
		return "no"
	}
}

func (r row) value(v float64) string {
	unit := r.unit
	if unit == "" {
		unit = "ms"
	}
	return number(v) + " " + unit
}

func (r row) spread(s samples) string { return number(slices.Min(s)) + "-" + number(slices.Max(s)) }

// number has three digits, or all before the point.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
