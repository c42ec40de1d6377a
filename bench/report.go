package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// row is one line of the table.
type row struct {
	What  string
	Unit  string // "ms" if empty
	Berth samples
	Peer  samples // of the same unit; none for an absolute target
	// Quoted says where the peer's value comes from if it was not measured.
	Quoted string
	// Ratio and Absolute bound the quotient of the medians, and berth's
	// median; 0: no target.
	Ratio, Absolute float64
	// Least bounds the quotient from below, where more is better.
	Least float64
	// Nothing is the target that berth's median is 0.
	Nothing bool
	Notes   []string
}

// table is the whole answer, also as JSON.
type table struct {
	Facts  []fact
	Rows   []row
	Failed []string // measurements without all of their rows
}

// fact is something to know about the machine.
type fact struct{ Name, Value string }

func (t table) markdown(w io.Writer) {
	fmt.Fprint(w, "# berth and its peers\n\n")
	for _, f := range t.Facts {
		fmt.Fprintf(w, "- %s: %s\n", f.Name, f.Value)
	}
	fmt.Fprint(w, "\nMedians. A ratio is berth's median by the peer's: below 1 berth is the faster or the smaller one; of what is done each second, above 1.\n"+
		"Peers are measured in turn with berth, after one round to warm up; n is the number of rounds.\n\n"+
		"| what | berth | peer | ratio | target | met | n | berth min-max | peer min-max |\n"+
		"| --- | ---: | ---: | ---: | --- | --- | ---: | --- | --- |\n")
	for _, r := range t.Rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r.cells(), " | "))
	}
	for _, f := range t.Failed {
		fmt.Fprintf(w, "| %s: could not be measured | | | | | no | | | |\n", f)
	}
	fmt.Fprint(w, "\n")
	var seen []string
	for _, r := range t.Rows {
		for _, n := range r.Notes {
			if !slices.Contains(seen, n) {
				seen = append(seen, n)
				fmt.Fprintf(w, "- %s\n", n)
			}
		}
	}
}

func (r row) cells() []string {
	peer, spread := "", ""
	if len(r.Peer) > 0 {
		peer, spread = r.value(r.Peer.median()), r.spread(r.Peer)
	}
	if r.Quoted != "" {
		peer, spread = peer+" (quoted)", r.Quoted
	}
	ratio := ""
	if q, ok := r.quotient(); ok {
		ratio = fmt.Sprintf("%.3g", q)
	}
	return []string{r.What, r.value(r.Berth.median()), peer, ratio, r.target(), r.met(), fmt.Sprint(len(r.Berth)), r.spread(r.Berth), spread}
}

func (r row) quotient() (float64, bool) {
	p := r.Peer.median()
	if p == 0 {
		return 0, false
	}
	return r.Berth.median() / p, true
}

func (r row) target() string {
	switch {
	case r.Ratio > 0 && r.Ratio < 0.5:
		return fmt.Sprintf("<= %.4g (%.3g times faster)", r.Ratio, 1/r.Ratio)
	case r.Ratio > 0:
		return fmt.Sprintf("<= %.2f", r.Ratio)
	case r.Least > 0:
		return fmt.Sprintf(">= %.2f", r.Least)
	case r.Absolute > 0:
		return "<= " + r.value(r.Absolute)
	case r.Nothing:
		return "none"
	default:
		return ""
	}
}

// met says whether the target is met, and nothing for a row without one.
func (r row) met() string {
	q, ok := r.quotient()
	switch {
	case r.Ratio == 0 && r.Least == 0 && r.Absolute == 0 && !r.Nothing:
		return ""
	case r.Nothing && r.Berth.median() == 0, r.Ratio > 0 && ok && q <= r.Ratio, r.Least > 0 && ok && q >= r.Least, r.Absolute > 0 && r.Berth.median() <= r.Absolute:
		return "yes"
	default:
		return "no"
	}
}

func (r row) value(v float64) string {
	unit := r.Unit
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
