package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// results reads what a test binary writes with -test.v=test2json: the output
// of -test.v, with a mark in front of the lines that are not a test's own
// output.
type results struct {
	host string
	out  io.Writer // gets what is about failures, or all
	all  bool

	passed int
	failed []string        // top-level tests
	why    []string        // they failed: where their code says so
	open   map[string]bool // those that have begun and not ended
	partly map[string]bool // top-level tests of which other hosts have rows
	rows   map[string]bool // top-level tests of which a row has begun here
	errs   []error         // of the host, not of a test

	rest    []byte            // of a line
	current string            // the test that the output is of
	said    map[string][]byte // by tests that have not ended
}

const mark = "\x16"

// event is a line such as "=== RUN   TestA/b" or "--- FAIL: TestA (0.10s)".
var event = regexp.MustCompile(`^(?:=== (RUN|PAUSE|CONT|NAME) +|--- (PASS|FAIL|SKIP): )(\S*)`)

// place begins what a test's code says.
var place = regexp.MustCompile(`^ +\w+_test\.go:\d+: `)

// Write implements io.Writer.
func (r *results) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		i := bytes.IndexByte(r.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		r.line(string(r.rest[:i]))
		r.rest = r.rest[i+1:]
	}
}

func (r *results) line(s string) {
	// Output without a newline at its end has the mark behind it.
	own, marked, found := strings.Cut(s, mark)
	if own != "" || !found {
		r.keep(own)
	}
	if !found {
		return
	}
	m := event.FindStringSubmatch(strings.TrimLeft(marked, " "))
	if m == nil { // PASS or FAIL, of all tests
		r.current = ""
		return
	}
	begun, ended, test := m[1], m[2], m[3]
	if ended != "" {
		r.testEnded(test, ended, marked)
		return
	}
	r.current = test
	if begun == "RUN" {
		if r.open == nil {
			r.open, r.rows = map[string]bool{}, map[string]bool{}
		}
		r.open[test] = true
		if of, _, row := strings.Cut(test, "/"); row {
			r.rows[of] = true
		}
	}
}

// keep takes a line of the current test, which is shown when that has failed.
// What no test says is about all of them, and shown at once.
func (r *results) keep(line string) {
	if r.all || r.current == "" {
		r.show(r.current, line)
		return
	}
	if r.said == nil {
		r.said = map[string][]byte{}
	}
	r.said[r.current] = fmt.Appendln(r.said[r.current], line)
}

func (r *results) testEnded(test, how, line string) {
	delete(r.open, test)
	r.current = ""
	top := !strings.Contains(test, "/")
	switch {
	case how == "PASS" && top && r.partly[test] && !r.rows[test]: // others have all of its rows
	case how == "PASS" && top:
		r.passed++
	case how != "PASS": // one that is skipped proves nothing
		r.reveal(test)
		r.show("", line)
		if top {
			r.failed = append(r.failed, test)
		}
	}
	if how == "PASS" && r.all {
		r.show("", line)
	}
	delete(r.said, test)
}

func (r *results) reveal(test string) {
	whys := 0
	for line := range strings.Lines(string(r.said[test])) {
		line = strings.TrimSuffix(line, "\n")
		r.show(test, line)
		if place.MatchString(line) && whys < 3 {
			whys++
			r.why = append(r.why, fmt.Sprintf("%s: %s: %.400s", r.host, test, strings.TrimSpace(line)))
		}
	}
}

func (r *results) show(test, line string) {
	if test != "" {
		line = test + ": " + line
	}
	fmt.Fprintf(r.out, "%s: %s\n", r.host, line)
}

// end counts the tests that never ended as failed.
func (r *results) end() {
	if len(r.rest) > 0 {
		r.line(string(r.rest))
		r.rest = nil
	}
	for _, test := range slices.Sorted(maps.Keys(r.open)) {
		r.testEnded(test, "FAIL", "--- FAIL: "+test+" (it did not end)")
	}
	for _, test := range slices.Sorted(maps.Keys(r.said)) {
		r.reveal(test) // such as a panic's trace
	}
}

// problem is an error beside those of tests.
func (r *results) problem(err error) {
	r.errs = append(r.errs, err)
	r.show("", err.Error())
}

func (r *results) ok() bool { return len(r.failed) == 0 && len(r.errs) == 0 }

// closing is how it went, in one line.
func (r *results) closing() string {
	s := fmt.Sprintf("%s %d passed, %d failed", r.host, r.passed, len(r.failed))
	if len(r.failed) > 0 {
		s += ": " + strings.Join(r.failed, " ")
	}
	if len(r.errs) > 0 {
		first, _, _ := strings.Cut(errors.Join(r.errs...).Error(), "\n")
		s += "; " + first
	}
	return s
}
