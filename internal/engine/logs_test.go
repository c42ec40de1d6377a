package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/container"
)

func TestIsStatus(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mcron.service\x1b[0m.": true,
		"[FAILED] Failed to start x.":                                        true, "[DEPEND] Dependency failed for x.": true, "[*     ] A start job is running": false,
		"         Starting \x1b[0;1;39mcron.service\x1b[0m...": true, "         ": true, "": true, "          x": false,
		"         string": false, "Welcome to Debian!": false, "[ 12.3] kernel: hello": false, "[": false, "[]": false,
	} {
		if got := isStatus(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	at := func(second int64, source container.LogSource, text string) container.LogLine {
		return container.LogLine{Time: time.Unix(second, 0), Source: source, Message: text}
	}
	var got []string
	o := order{tell: func(l container.LogLine) { got = append(got, l.Message) }, console: []container.LogLine{
		at(1, container.LogConsole, "[  OK  ] before the journal"), at(100, container.LogConsole, "[  OK  ] as in the journal"),
		at(100, container.LogConsole, "text"), at(500, container.LogConsole, "[  OK  ] without a journal"), at(1000, container.LogConsole, "[  OK  ] after the last"), at(1001, container.LogConsole, "end"),
	}}
	for _, s := range []int64{101, 995} {
		o.entry(at(s, container.LogJournal, "entry"))
	}
	o.rest()
	if got, want := strings.Join(got, "|"), "[  OK  ] before the journal|text|entry|[  OK  ] without a journal|entry|end"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
