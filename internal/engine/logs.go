package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/journal"
	"github.com/berth-containers/berth/internal/plain"
	"github.com/berth-containers/berth/internal/state"
)

// LogQuery says what is wanted of a guest's logs.
type LogQuery struct {
	Since, Until time.Time // zero: no bound
	Units        []string  // names of units or patterns as in path.Match; empty: all
	Priority     *int      // only what is at least so urgent; nil: all
	Boot         string    // only of one boot: its ID, or 0 for the last one, -1 for that before; empty: all
	Last         int       // only so many lines at the end; negative: all
	Follow       bool      // go on with what comes, until the context ends
	Console      bool      // only what the guest wrote to its console
	Ingress      bool      // only what the host answered for the guest, which is not among the rest
}

// wantsConsole reports whether lines of the console may match: they have no
// unit and no priority.
func (q LogQuery) wantsConsole() bool {
	return q.Console || len(q.Units) == 0 && q.Priority == nil
}

func (q LogQuery) within(t time.Time) bool {
	return !t.Before(q.Since) && (q.Until.IsZero() || !t.After(q.Until))
}

func (q LogQuery) journal() journal.Query {
	out := journal.Query{Since: q.Since, Until: q.Until, Priority: 7, Boot: q.Boot}
	if q.Priority != nil {
		out.Priority = *q.Priority
	}
	for _, u := range q.Units {
		out.Units = append(out.Units, journal.Unit(u))
	}
	return out
}

// Logs calls tell with what a guest logged, the oldest first: the entries of
// its journal, and what it wrote to its console besides; or with what the host
// answered for it.
func (e *Engine) Logs(ctx context.Context, n container.Name, q LogQuery, tell func(container.LogLine)) error {
	rec, err := e.Record(n)
	if err != nil {
		return err
	}
	// The files are a guest's: whoever waits for them for ever can be
	// interrupted, since it is another goroutine that waits.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan container.LogLine)
	ended := make(chan error, 1)
	l := &logs{engine: e, rec: rec, query: q, tell: func(line container.LogLine) {
		select {
		case lines <- line:
		case <-ctx.Done():
		}
	}}
	go func() { ended <- l.run(ctx) }()
	for {
		select {
		case line := <-lines:
			tell(line)
		case err := <-ended:
			return err
		case <-ctx.Done():
			return l.unreadError()
		}
	}
}

// logs are one reading of a guest's logs.
type logs struct {
	engine *Engine
	rec    *state.Record
	query  LogQuery
	tell   func(container.LogLine)
	reader journal.Reader

	unread atomic.Pointer[error] // why not all of what follows could be read

	mu    sync.Mutex // held while what was there is told; and for what follows
	order order
}

func (l *logs) unreadError() error {
	if err := l.unread.Load(); err != nil {
		return *err
	}
	return nil
}

func (l *logs) run(ctx context.Context) error {
	if l.query.Ingress {
		return l.requests(ctx)
	}
	l.order.tell = l.tell
	if err := l.chooseBoot(); err != nil {
		return err
	}
	if !l.query.Follow {
		console, err := l.readConsole(ctx)
		if err != nil {
			return err
		}
		return l.past(console)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	console, consoleEnded := l.followConsole(ctx)
	l.keep(l.past(<-console))
	l.order.live = true
	l.mu.Unlock()
	journalEnded := make(chan error, 1)
	go func() { journalEnded <- l.followJournal(ctx) }()
	var err error
	select {
	case err = <-consoleEnded:
	case err = <-journalEnded:
	}
	if ctx.Err() != nil {
		return l.unreadError()
	}
	return err
}

// keep remembers an error of a journal that is followed: others of its files
// can be read, and what comes.
func (l *logs) keep(err error) {
	if err != nil {
		l.unread.CompareAndSwap(nil, &err)
	}
}

// past tells what the guest has logged so far.
func (l *logs) past(console []container.LogLine) error {
	if l.query.Console {
		for _, c := range lastOf(console, l.query.Last) {
			l.tell(c)
		}
		return nil
	}
	j, err := l.engine.journals(l.rec)
	if err != nil {
		return err
	}
	defer j.close()
	if l.query.Last < 0 {
		l.order.console = console
		err = l.reader.All(j.places, j.machines, l.query.journal(), func(entry journal.Entry) error {
			l.order.entry(l.line(entry))
			return nil
		})
		l.order.rest()
		return partly(err)
	}
	entries, err := l.reader.Last(j.places, j.machines, l.query.journal(), l.query.Last)
	var all []container.LogLine
	o := order{console: console, tell: func(line container.LogLine) { all = append(all, line) }}
	for _, entry := range entries {
		o.entry(l.line(entry))
	}
	o.rest()
	for _, line := range lastOf(all, l.query.Last) {
		l.tell(line)
	}
	return partly(err)
}

// partly is the error for journals of which some files cannot be read.
func partly(err error) error {
	if err == nil {
		return nil
	}
	return &container.Error{Err: err, Hint: "everything else that it logged is shown; files of no use can be removed in the guest, or by journalctl --vacuum-time there"}
}

func lastOf(lines []container.LogLine, n int) []container.LogLine {
	if n < 0 {
		return lines
	}
	return lines[max(0, len(lines)-n):]
}

func (l *logs) line(e journal.Entry) container.LogLine {
	return container.LogLine{Name: l.rec.Name, Time: e.Time, Source: container.LogJournal, Message: e.Message,
		Priority: &e.Priority, Unit: e.Unit, Identifier: e.Identifier, PID: e.PID, Boot: e.Boot}
}

func (l *logs) consoleLine(t time.Time, text []byte) container.LogLine {
	return container.LogLine{Name: l.rec.Name, Time: t, Source: container.LogConsole, Message: strings.ToValidUTF8(string(text), "\ufffd")}
}

// spare is how many lines of the console are read beyond those that are
// wanted, since some are left out.
const spare = 500

func (l *logs) lastConsole() int {
	switch {
	case !l.query.wantsConsole():
		return 0
	case l.query.Last < 0 || l.query.Console && l.query.Until.IsZero():
		return l.query.Last
	case !l.query.Until.IsZero():
		return -1
	}
	return l.query.Last + spare
}

func (l *logs) readConsole(ctx context.Context) ([]container.LogLine, error) {
	var out []container.LogLine
	if !l.query.wantsConsole() {
		return nil, nil
	}
	err := l.engine.supervisor.Console(ctx, l.rec.Name, l.lastConsole(), func(t time.Time, text []byte) {
		if l.query.within(t) {
			out = append(out, l.consoleLine(t, text))
		}
	}, nil)
	return out, err
}

// order puts what comes from the journal and from the console into one order,
// and leaves out of the console what the journal has as well.
type order struct {
	tell    func(container.LogLine)
	console []container.LogLine // that are still to be told
	last    time.Time           // of the journal's last entry
	live    bool                // what comes is of now
}

// near is how close to an entry of the journal a status line of systemd is
// taken for something that the journal has too.
const near = 15 * time.Second

// entry tells an entry of the journal.
func (o *order) entry(line container.LogLine) {
	o.before(line.Time)
	o.last = line.Time
	o.tell(line)
}

// before tells the lines of the console that come before the journal's next
// entry, whose time is next.
func (o *order) before(next time.Time) {
	for len(o.console) > 0 && (o.live || !o.console[0].Time.After(next)) {
		c := o.console[0]
		o.console = o.console[1:]
		if !isStatus(c.Message) || next.Sub(c.Time) > near && c.Time.Sub(o.last) > near {
			o.tell(c)
		}
	}
}

// rest tells the lines of the console that are left.
func (o *order) rest() {
	for _, c := range o.console {
		if !isStatus(c.Message) || c.Time.Sub(o.last) > near {
			o.tell(c)
		}
	}
	o.console = nil
}

// isStatus reports whether a line of the console is one that systemd shows
// while it starts and stops units, where the journal has the same, or empty.
func isStatus(line string) bool {
	text := plain.Text(line)
	if i := strings.LastIndex(text, "login: ["); i >= 0 { // behind the prompt of a terminal that nobody uses
		text = text[i+len("login: "):]
	}
	if strings.TrimSpace(text) == "" {
		return true
	}
	if strings.HasPrefix(text, "[") {
		mark, _, ok := strings.Cut(text[1:], "]")
		return ok && slices.Contains([]string{"OK", "FAILED", "DEPEND", "WARN", "INFO", "TIME", "SKIP", "ABORT", "SUPPORT"}, strings.Trim(mark, " *"))
	}
	verb, ok := strings.CutPrefix(text, "         ")
	if !ok {
		return false
	}
	verb, _, _ = strings.Cut(verb, " ")
	return strings.HasSuffix(verb, "ing") && verb[0] >= 'A' && verb[0] <= 'Z'
}
