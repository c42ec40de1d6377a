package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/berth-containers/berth/container"
)

// progress shows work that goes on: on a terminal a line that changes,
// elsewhere a line for each phase.
type progress struct {
	out      *os.File
	terminal bool

	mu    sync.Mutex
	phase map[string]string    // by subject
	shown map[string]time.Time // when the line was last printed, by subject
	open  bool                 // a line on the terminal has no end yet
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: isTerminal(out), phase: map[string]string{}, shown: map[string]time.Time{}}
}

// often is the time between two states of a line on a terminal.
const often = 100 * time.Millisecond

func (p *progress) event(e container.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Line != "" {
		p.line(e)
		return
	}
	changed := p.phase[e.Subject] != e.Phase
	p.phase[e.Subject] = e.Phase
	switch {
	case p.terminal && e.Ended:
		if p.open {
			fmt.Fprint(p.out, "\r\x1b[K")
			p.open = false
		}
		delete(p.phase, e.Subject)
	case p.terminal && (changed || time.Since(p.shown[e.Subject]) > often):
		p.shown[e.Subject], p.open = time.Now(), true
		fmt.Fprintf(p.out, "\r\x1b[K%s", clip(progressLine(e), p.width()))
	case !p.terminal && changed && !e.Ended:
		fmt.Fprintf(p.out, "%s: %s\n", e.Subject, e.Phase)
	}
}

// line prints a line of what goes on.
func (p *progress) line(e container.Event) {
	if p.open {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.open = false
	}
	fmt.Fprintf(p.out, "%s: %s\n", e.Subject, e.Line)
}

// width is how many columns the terminal has.
func (p *progress) width() int {
	if w, _, err := term.GetSize(int(p.out.Fd())); err == nil && w > 0 {
		return w
	}
	return 80
}

// clip cuts a line that would not fit, and then could not be redrawn.
func clip(line string, width int) string {
	if r := []rune(line); len(r) >= width {
		return string(r[:max(0, width-1)])
	}
	return line
}

func progressLine(e container.Event) string {
	line := e.Subject + ": " + e.Phase
	switch {
	case e.Detail != "":
		line = e.Subject + ": " + e.Detail + ": " + e.Phase
	case e.Total > 0:
		line += fmt.Sprintf(" %d%%", e.Done*100/e.Total)
	case e.Done > 0:
		line += " " + size(e.Done)
	}
	return line
}
