package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// logFlags are the flags of logs.
type logFlags struct {
	since, until, priority string
	boot                   string
	units                  []string
	lines                  int
	follow, console, raw   bool
	ingress                bool
}

func (a *app) logsCmd() *cobra.Command {
	var s selection
	var f logFlags
	c := &cobra.Command{
		Use: "logs NAME...", Short: "Show what guests logged, in journals and on consoles, and what the host answered for them",
		Long: `logs shows what guests logged, the oldest first: the entries of their journals, of running and of stopped guests, and
what they wrote to their consoles besides. Of the console it leaves out what systemd shows when it starts and stops
units, since the journal has the same. Guests without a journal have the console alone.

A TIME is one such as "2026-01-31 18:00:00", "18:00", "2026-01-31T18:00:00Z", "today", "yesterday", "@1769878800", or a
time span such as "10min", "1h 30min ago" or "-2d" before now.

A BOOT is one of the guest's, by its ID or counted from the last one, which is 0: --boot=-1 is the one before. Of the
console it has what is of its time.

With --ingress it shows instead what the host answered for the guests by their names: who asked for what, the status of
the answer, its size and how long it took.

With --json each line is an object: name, time, source (journal, console or ingress) and message, and for the journal priority,
unit, identifier, pid and boot, for ingress request.`,
		ValidArgsFunction: a.complete,
		Example:           "  berth logs web\n  berth logs -f -n 20 web db\n  berth logs -u postgresql -p err --since '1h ago' db",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return usageError(err)
			}
			return a.onMany(&s, func(ctx context.Context, h *berth.Host, names []container.Name) error {
				p := &logPrinter{out: a.Out, raw: f.raw, json: a.json, bare: f.console, prefix: len(names) > 1}
				return p.all(ctx, h, names, q)
			})(cmd, args)
		},
	}
	s.flags(c)
	flags := c.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is logged from now on, also when the guest starts again")
	flags.IntVarP(&f.lines, "lines", "n", -1, "only the last `N` lines of each guest")
	flags.StringVarP(&f.since, "since", "S", "", "only what was logged at `TIME` or later")
	flags.StringVarP(&f.until, "until", "U", "", "only what was logged at `TIME` or earlier")
	flags.StringVarP(&f.boot, "boot", "b", "", "only what is of the last boot, or of the `BOOT`")
	flags.Lookup("boot").NoOptDefVal = "0"
	flags.StringArrayVarP(&f.units, "unit", "u", nil, "only the journal's entries from or about the `UNIT`, or units like the pattern; several add up")
	flags.StringVarP(&f.priority, "priority", "p", "", "only the journal's entries of this `PRIORITY` or more urgent: emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7")
	flags.BoolVar(&f.console, "console", false, "only what the guest wrote to its console, all of it, as it is")
	flags.BoolVar(&f.ingress, "ingress", false, "only what the host answered for the guest, as the key ingress says")
	flags.BoolVar(&f.raw, "raw", false, "do not take control characters out")
	for _, only := range []string{"console", "ingress"} {
		for _, of := range []string{"unit", "priority", "boot"} { // the journal
			c.MarkFlagsMutuallyExclusive(only, of)
		}
	}
	c.MarkFlagsMutuallyExclusive("console", "ingress")
	c.MarkFlagsMutuallyExclusive("follow", "until")
	return a.jsonFlag(c)
}

// query is what the flags ask for at the time now.
func (f *logFlags) query(now time.Time) (berth.LogQuery, error) {
	q := berth.LogQuery{Units: f.units, Boot: f.boot, Last: f.lines, Follow: f.follow, Console: f.console, Ingress: f.ingress}
	var err error
	if f.since != "" {
		if q.Since, err = parseTime(f.since, now); err != nil {
			return q, fmt.Errorf("--since: %w", err)
		}
	}
	if f.until != "" {
		if q.Until, err = parseTime(f.until, now); err != nil {
			return q, fmt.Errorf("--until: %w", err)
		}
	}
	if f.priority != "" {
		p, err := parsePriority(f.priority)
		if err != nil {
			return q, fmt.Errorf("--priority: %w", err)
		}
		q.Priority = &p
	}
	return q, nil
}

// parsePriority reads a priority as in syslog(3), by number or name.
func parsePriority(s string) (int, error) {
	names := []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(names) {
		return n, nil
	}
	if n := slices.Index(names, s); n >= 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%q is neither 0 to 7 nor one of %s", s, strings.Join(names, ", "))
}

// logPrinter prints what one or more guests logged.
type logPrinter struct {
	mu     sync.Mutex
	out    io.Writer
	raw    bool
	json   bool
	bare   bool // the text alone
	prefix bool // put the container's name before each line
}

func (p *logPrinter) all(ctx context.Context, h *berth.Host, names []container.Name, q berth.LogQuery) error {
	errs := make([]error, len(names))
	read := func(i int, tell func(container.LogLine)) {
		errs[i] = container.Named(names[i], h.Logs(ctx, names[i], q, tell))
	}
	if !q.Follow {
		p.byTime(len(names), read)
		return errors.Join(errs...)
	}
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() { read(i, p.line) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// byTime prints the lines of n logs, each of which is in order, in one order.
func (p *logPrinter) byTime(n int, read func(i int, tell func(container.LogLine))) {
	type log struct {
		head container.LogLine
		next func() (container.LogLine, bool)
	}
	var logs []*log
	for i := range n {
		next, stop := iter.Pull(func(yield func(container.LogLine) bool) {
			read(i, func(l container.LogLine) { yield(l) })
		})
		defer stop()
		if head, ok := next(); ok {
			logs = append(logs, &log{head, next})
		}
	}
	for len(logs) > 0 {
		first := slices.MinFunc(logs, func(a, b *log) int { return a.head.Time.Compare(b.head.Time) })
		p.line(first.head)
		var ok bool
		if first.head, ok = first.next(); !ok {
			logs = slices.DeleteFunc(logs, func(l *log) bool { return l == first })
		}
	}
}

// line prints a line, or the lines of one that has several.
func (p *logPrinter) line(l container.LogLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		e := json.NewEncoder(p.out)
		e.SetEscapeHTML(false)
		_ = e.Encode(l) // who does not listen has gone
		return
	}
	head := p.head(l)
	for line := range strings.SplitSeq(l.Message, "\n") {
		if !p.raw {
			line = plain.Coloured(line)
		}
		fmt.Fprintf(p.out, "%s%s\n", head, line)
		head = strings.Repeat(" ", len(head))
	}
}

// head is what comes before a message.
func (p *logPrinter) head(l container.LogLine) string {
	head := ""
	if p.prefix {
		head = string(l.Name) + "  "
	}
	if p.bare {
		return head
	}
	if l.Source == container.LogIngress {
		return head + l.Time.Local().Format(time.DateTime) + " "
	}
	who := string(l.Source)
	if l.Source == container.LogJournal {
		if who = plain.Text(l.Identifier); who == "" {
			who = "unknown"
		}
		if l.PID != 0 {
			who += fmt.Sprintf("[%d]", l.PID)
		}
	}
	return head + l.Time.Local().Format(time.DateTime) + " " + who + ": "
}
