package build

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// The kinds of activities and results in the log format internal-json; see
// logging.hh of Nix.
const (
	copyPath     = 100
	fileTransfer = 101
	copyPaths    = 103
	builds       = 104
	oneBuild     = 105
	substitute   = 108
	fetchTree    = 112

	buildLogLine = 101
	progress     = 105
	setExpected  = 106
)

// message is a line of the log.
type message struct {
	Action string            `json:"action"` // start, stop, result or msg
	ID     uint64            `json:"id"`
	Type   int               `json:"type"`
	Level  int               `json:"level"`
	Text   string            `json:"text"`
	Msg    string            `json:"msg"`
	Fields []json.RawMessage `json:"fields"`
}

// number is field i, or 0.
func (m message) number(i int) (n int64) {
	if i < len(m.Fields) {
		_ = json.Unmarshal(m.Fields[i], &n)
	}
	return max(n, 0)
}

// word is field i, fit to be shown.
func (m message) word(i int) (s string) {
	if i < len(m.Fields) {
		_ = json.Unmarshal(m.Fields[i], &s)
	}
	return plain.Text(s)
}

// activity is something that Nix does.
type activity struct {
	kind           int
	derivation     string // of a build
	done, expected int64
	announced      map[int]int64 // of other kinds
}

// log understands what a program of Nix says.
type log struct {
	events    container.EventFunc
	shown     string // the phase
	running   map[uint64]*activity
	finished  map[int]int64       // by kind
	announced map[int]int64       // by kind
	lines     map[string][]string // the last that a builder has said, by its derivation
	errors    []string
	marks     []string // of evaluations that have begun
}

// Bounds on what is kept of a log.
const (
	maxActivities = 10_000
	maxErrors     = 50
	lastLines     = 20
)

func newLog(events container.EventFunc) *log {
	return &log{events: events, running: map[uint64]*activity{}, finished: map[int]int64{}, announced: map[int]int64{}, lines: map[string][]string{}}
}

// line takes one line of the log.
func (l *log) line(line []byte) {
	record, ok := bytes.CutPrefix(line, []byte("@nix "))
	if !ok { // complaints about arguments come so
		if s := string(line); strings.HasPrefix(s, "error:") || len(l.errors) > 0 && s != "" {
			l.fault(s)
		}
		return
	}
	var m message
	if json.Unmarshal(record, &m) != nil {
		return
	}
	switch m.Action {
	case "start":
		l.start(m)
	case "stop":
		l.stop(m.ID)
	case "result":
		l.result(m)
	case "msg":
		l.message(m)
	}
}

func (l *log) start(m message) {
	if len(l.running) >= maxActivities {
		return
	}
	a := &activity{kind: m.Type, announced: map[int]int64{}}
	l.running[m.ID] = a
	switch m.Type {
	case oneBuild:
		a.derivation = m.word(0)
		l.phase("building " + name(a.derivation))
	case substitute, copyPath:
		l.phase("copying " + name(m.word(0)))
	case fileTransfer:
		l.phase("downloading " + path.Base(m.word(0)))
	case fetchTree:
		l.phase(plain.Text(m.Text))
	}
}

// name is that of what a store path has.
func name(p string) string {
	base := strings.TrimSuffix(path.Base(p), ".drv")
	if hash, name, ok := strings.Cut(base, "-"); ok && len(hash) == 32 {
		return name
	}
	return base
}

func (l *log) stop(id uint64) {
	a := l.running[id]
	if a == nil {
		return
	}
	delete(l.running, id)
	l.finished[a.kind] += a.done
	for kind, n := range a.announced {
		l.announced[kind] -= n
	}
}

func (l *log) result(m message) {
	a := l.running[m.ID]
	if a == nil {
		return
	}
	switch m.Type {
	case buildLogLine:
		kept := append(l.lines[a.derivation], m.word(0))
		l.lines[a.derivation] = kept[max(0, len(kept)-lastLines):]
		return
	case progress:
		a.done, a.expected = m.number(0), m.number(1)
	case setExpected:
		kind, n := int(m.number(0)), m.number(1)
		l.announced[kind] += n - a.announced[kind]
		a.announced[kind] = n
	}
	l.tell()
}

// mark begins the traces that tell which evaluation goes on.
const mark = "berth evaluates "

// message takes what Nix says by itself. Only errors count: warnings are
// mostly of things that the owner of a container cannot change.
func (l *log) message(m message) {
	if what, ok := strings.CutPrefix(m.Msg, "trace: "+mark); ok {
		if len(l.marks) < maxActivities {
			l.marks = append(l.marks, plain.Text(what))
		}
		return
	}
	const levelError = 0 // of warnings too, in some versions
	if m.Level == levelError && !strings.HasPrefix(m.Msg, "trace: ") && !strings.HasPrefix(plain.Text(m.Msg), "warning: ") && len(l.errors) < maxErrors {
		l.errors = append(l.errors, m.Msg)
	}
}

// fault takes a line of an error that has no record.
func (l *log) fault(s string) {
	switch {
	case strings.HasPrefix(s, "error:") && len(l.errors) < maxErrors:
		l.errors = append(l.errors, s)
	case len(l.errors) > 0 && len(l.errors[len(l.errors)-1]) < maxLine:
		l.errors[len(l.errors)-1] += "\n" + s
	}
}

// phase says what goes on.
func (l *log) phase(s string) {
	if s != "" {
		l.shown = s
		l.tell()
	}
}

func (l *log) tell() {
	if l.shown != "" {
		l.events.Send(container.Event{Subject: subject, Phase: l.shown, Detail: l.detail()})
	}
}

// tally is how much of a kind is done, and how much there will be.
func (l *log) tally(kind int) (done, expected int64) {
	done = l.finished[kind]
	expected = done
	for _, a := range l.running {
		if a.kind == kind {
			done, expected = done+a.done, expected+a.expected
		}
	}
	return done, max(done, expected, l.announced[kind])
}

// detail is the progress in numbers.
func (l *log) detail() string {
	var parts []string
	if done, all := l.tally(builds); all > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d built", done, all))
	}
	if done, all := l.tally(copyPaths); all > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d copied", done, all))
	}
	for _, kind := range []int{copyPath, fileTransfer} {
		if done, all := l.tally(kind); all > 0 {
			parts = append(parts, fmt.Sprintf("%s of %s", mebibytes(done), mebibytes(all)))
			break
		}
	}
	return strings.Join(parts, ", ")
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// said are the last lines of what the builder of a derivation has said.
func (l *log) said(derivation string) []string { return slices.Clone(l.lines[derivation]) }
