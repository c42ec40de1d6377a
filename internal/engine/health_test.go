package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

func TestParseUnits(t *testing.T) {
	t.Parallel()
	got := parseUnits([]byte("b.service loaded failed failed Some thing\n" +
		"a.service loaded failed failed \x1b[31mred\n" +
		"c.service loaded activating auto-restart Again\nd.service not-found\n\nx\x07.service loaded failed failed\n"))
	want := guestUnits{failed: []string{"a.service", "b.service", "x.service"}, restarting: []string{"c.service"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(guestUnits{})); diff != "" {
		t.Error(diff)
	}
	if got := newlyFailed(got.failed, []string{"b.service"}); strings.Join(got, " ") != "a.service x.service" {
		t.Errorf("newly failed: %q", got)
	}
}

// FuzzParseUnits reads what a guest may write in the place of its systemd.
func FuzzParseUnits(f *testing.F) {
	f.Add([]byte("a.service loaded failed failed Description\n"))
	f.Add([]byte("a b auto-restart auto-restart"))
	f.Fuzz(func(t *testing.T, b []byte) {
		units := parseUnits(b)
		for _, u := range append(units.failed, units.restarting...) {
			if strings.ContainsAny(u, "\n\x1b\x00") || len(u) > len(b)*4 {
				t.Errorf("%q is a unit", u)
			}
		}
	})
}

func TestExitError(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		4: "the switch ended with 4: units failed", 9: "the switch ended with 9", codeLate: "the switch had not ended in time",
	} {
		if got := (&exitError{code}).Error(); got != want {
			t.Errorf("%d: %s", code, got)
		}
	}
}

// TestFollow tells lines as they are written, and all of them.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	lines := make(chan string, 100)
	stop, err := follow(path, func(l string) { lines <- l })
	check(t, err)
	for i := range 3 {
		_, err := fmt.Fprintf(f, "line %d\n", i)
		check(t, err)
		select {
		case l := <-lines:
			if l != fmt.Sprint("line ", i) {
				t.Errorf("%q", l)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing is told")
		}
	}
	_, err = f.WriteString("a\x1b[0m\r\n" + strings.Repeat("x", maxSwitchLine+5) + "\nthe end")
	check(t, err)
	stop()
	close(lines)
	var got []string
	for l := range lines {
		got = append(got, l)
	}
	want := []string{"a", strings.Repeat("x", maxSwitchLine), "xxxxx", "the end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	if got := windowOf(container.Spec{}); got != time.Minute { // of an older berth
		t.Errorf("%v", got)
	}
	if got := windowOf(container.Spec{HealthTimeout: 5}); got != 5 {
		t.Errorf("%v", got)
	}
}
