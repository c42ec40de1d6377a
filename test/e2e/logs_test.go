//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// logLine is what `berth logs --json` tells, as its users read it.
type logLine struct {
	Name, Source, Message, Unit, Identifier, Boot string
	Time                                          time.Time
	Priority                                      *int
	PID                                           int
}

func (b *berth) logs(args ...string) []logLine {
	b.Helper()
	var out []logLine
	for line := range strings.Lines(b.run(append([]string{"logs", "--json"}, args...)...).out) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			b.Fatalf("%q: %v", line, err)
		}
		out = append(out, l)
	}
	return out
}

// logged waits until a line of the journal has a message; journald writes a
// little later than its clients.
func (b *berth) logged(name, message string) {
	b.Helper()
	b.until(fmt.Sprintf("%q is logged", message), func() bool {
		return strings.Contains(b.try("logs", name).out, message)
	})
}

const talk = `logger -t talker -p user.notice "a note with a bell $(printf '\007')"
echo "an error" | systemd-cat -t talker -p err
printf 'two\nlines' | logger -t talker --no-act -s 2>/dev/null || true
systemd-run -q --unit=fails --wait sh -c 'echo the cause >&2; exit 3' || true
journalctl --sync`

// TestJournal: what services log in guests is read from the host, in guests
// with and without a place on disk.
func TestJournal(t *testing.T) {
	t.Parallel()
	for kind, settings := range map[string][]string{"stateful": nil, "ephemeral": {"ephemeral=true"}, "no users": {"privateUsers=no"}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBerth(t)
			b.run(append([]string{"create", "web", "--image", debian(), "--start"}, settings...)...)
			b.in("web", talk)
			b.logged("web", "the cause")
			b.has(b.out("logs", "web"), "talker[", "a note with a bell", "an error", "fails.service: Failed with result", "console: ")
			if out := b.out("logs", "web"); strings.Contains(out, "\a") {
				t.Errorf("control characters come through: %q", out)
			}
			is(t, "errors", b.out("logs", "-p", "err", "-u", "fails", "web"), "")
			errs := b.logs("-p", "3", "web")
			if len(errs) == 0 || errs[len(errs)-1].Message != "an error" || *errs[len(errs)-1].Priority != 3 || errs[len(errs)-1].Identifier != "talker" {
				t.Errorf("errors: %+v", errs)
			}
			unit := b.logs("-u", "fails", "web")
			from := map[string]bool{}
			for _, l := range unit {
				from[l.Identifier] = l.Unit == "fails.service"
			}
			if !from["sh"] || !from["systemd"] || len(from) != 2 {
				t.Errorf("the unit's lines: %+v", unit)
			}
			is(t, "pattern", len(b.logs("-u", "fail*", "web")), len(unit))
			is(t, "last", b.logs("-n", "1", "-u", "fails", "web")[0].Message, unit[len(unit)-1].Message)
			is(t, "since tomorrow", len(b.logs("--since", time.Now().Add(24*time.Hour).Format(time.RFC3339), "web")), 0)
			is(t, "until yesterday", len(b.logs("--until", "yesterday", "web")), 0)
			b.sameAsGuest("web")

			b.run("stop", "web")
			out := b.out("logs", "web")
			b.has(out, "console: ")
			if has := strings.Contains(out, "an error"); has != (kind != "ephemeral") {
				t.Errorf("of the stopped guest there is: %s", tail(out))
			}
			if kind != "ephemeral" {
				b.has(out, "Journal stopped")
				b.secondBoot("web")
			}
		})
	}
}

// secondBoot starts a guest again and tells its boots apart.
func (b *berth) secondBoot(name string) {
	b.Helper()
	ended := ""
	for _, l := range b.logs(name) {
		ended = cmp.Or(l.Boot, ended) // the console knows none
	}
	b.run("start", name)
	b.in(name, `echo "<5>another boot" | systemd-cat -t talker`)
	b.logged(name, "another boot")
	for boot, want := range map[string][2]int{"-b": {0, 1}, "--boot=0": {0, 1}, "--boot=-1": {1, 0}, "--boot=" + ended: {1, 0}} {
		var got [2]int
		for _, l := range b.logs(boot, name) {
			if l.Message == "an error" {
				got[0]++
			} else if l.Message == "another boot" {
				got[1]++
			}
		}
		is(b, "what "+boot+" has of the boots", got, want)
	}
	b.has(b.fails(1, "logs", "--boot=-7", name).err, "no boot -7 is in its journal")
}

// sameAsGuest compares with what the guest's own journalctl says.
func (b *berth) sameAsGuest(name string) {
	b.Helper()
	var want, got []string
	for line := range strings.Lines(b.in(name, "journalctl --sync; journalctl --quiet --all --output=json --output-fields=MESSAGE,PRIORITY --no-pager")) {
		var e struct {
			Message  any    `json:"MESSAGE"`
			Priority string `json:"PRIORITY"`
			Time     int64  `json:"__REALTIME_TIMESTAMP,string"`
		}
		must(b, json.Unmarshal([]byte(line), &e))
		if text, ok := e.Message.(string); ok {
			want = append(want, fmt.Sprintf("%d %s %s", e.Time, e.Priority, strings.TrimRight(text, "\n")))
		} else {
			want = append(want, fmt.Sprintf("%d %s not a text", e.Time, e.Priority))
		}
	}
	for _, l := range b.logs(name) {
		if l.Source == "journal" {
			got = append(got, fmt.Sprintf("%d %d %s", l.Time.UnixMicro(), *l.Priority, l.Message))
		}
	}
	if len(got) < len(want) {
		b.Fatalf("the guest has %d entries, berth reads %d", len(want), len(got))
	}
	for i := range want { // the guest may have written more since
		if got[i] != want[i] && !strings.HasSuffix(want[i], " not a text") {
			b.Fatalf("entry %d is %q, the guest says %q", i, got[i], want[i])
		}
	}
}

// TestJournalForms: guests of other versions write in other forms.
func TestJournalForms(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	for _, form := range []string{"COMPACT=0", "COMPRESS=LZ4", "COMPRESS=XZ", "KEYED_HASH=0"} {
		b.in("web", `d=/run/systemd/system/systemd-journald.service.d; mkdir -p $d
printf '[Service]\nEnvironment=SYSTEMD_JOURNAL_%s\n' `+form+` >$d/form.conf
systemctl daemon-reload; systemctl restart systemd-journald; journalctl --rotate
head -c 3000 /dev/zero | tr '\0' x | logger -t long --size 4000; echo `+form+` | systemd-cat; journalctl --sync`)
		b.logged("web", form)
		b.sameAsGuest("web")
	}
}

// TestJournalPlaces: a journal may be in memory alone, or in a bind mount.
func TestJournalPlaces(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	b.in("web", "rm -r /var/log/journal; systemctl restart systemd-journald; logger in memory; journalctl --sync; test -d /run/log/journal")
	b.logged("web", "in memory")
	b.run("pause", "web")
	b.has(b.out("logs", "web"), "in memory")
	b.run("resume", "web")

	b.run("create", "bound", "--image", debian())
	must(t, os.MkdirAll(filepath.Join(b.work, "logs/journal"), 0o755))
	b.run("set", "bound", "bindMounts./var/log.hostPath="+filepath.Join(b.work, "logs"), "bindMounts./var/log.isReadOnly=false", "ephemeral=true")
	b.run("start", "bound")
	b.in("bound", "logger on the host; journalctl --sync")
	b.logged("bound", "on the host")
	b.run("stop", "bound")
	b.has(b.out("logs", "bound"), "on the host", "Journal stopped")
}

// TestJournalFollow: who follows hears of the guest's end and its next start.
func TestJournalFollow(t *testing.T) {
	t.Parallel()
	for kind, settings := range map[string][]string{"stateful": nil, "ephemeral": {"ephemeral=true"}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBerth(t)
			b.run(append([]string{"create", "web", "--image", debian(), "--start"}, settings...)...)
			b.in("web", "logger the first; journalctl --sync")
			b.logged("web", "the first")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			follow := b.command(ctx, "logs", "-f", "-n", "100", "web")
			out, err := follow.StdoutPipe()
			must(t, err)
			var complaints bytes.Buffer
			follow.Stderr = &complaints
			must(t, follow.Start())
			lines := bufio.NewScanner(out)
			seen := map[string]int{}
			await := func(want string) {
				t.Helper()
				for lines.Scan() {
					if text := lines.Text(); len(text) > 20 {
						seen[text[20:]]++
					}
					if strings.Contains(lines.Text(), want) {
						return
					}
				}
				t.Fatalf("logs -f ended without %q: %v, %v\n%s\nit said %v", want, lines.Err(), follow.Wait(), complaints.String(), slices.Sorted(maps.Keys(seen)))
			}
			await("the first")
			b.in("web", "logger the second")
			await("the second")
			b.run("restart", "web")
			await("Journal stopped")
			await("Journal started")
			b.in("web", "logger the third")
			await("the third")
			must(t, follow.Process.Signal(syscall.SIGINT))
			if err := follow.Wait(); err != nil {
				t.Errorf("logs -f after an interrupt: %v", err)
			}
			for line, n := range seen {
				if n > 1 && (strings.Contains(line, ": the ") || strings.Contains(line, "Journal stopped")) {
					t.Errorf("%d times: %s", n, line)
				}
			}
		})
	}
}

// TestJournalHostile: a guest shows nothing of the host, nor of others, by its
// journal, and does not keep the host from reading the rest.
func TestJournalHostile(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "secret", "--image", debian(), "--start")
	b.in("secret", "logger open sesame; journalctl --sync")
	b.logged("secret", "open sesame")
	others := filepath.Join(b.root, "var/lib/berth/containers/secret/changes/upper/var/log/journal")
	files, err := filepath.Glob(filepath.Join(others, "*/system.journal"))
	must(t, err)
	is(t, "journals of the other", len(files), 1)

	b.run("create", "evil", "--image", debian(), "--start")
	b.in("evil", "logger innocent; journalctl --sync")
	b.logged("evil", "innocent")
	b.in("evil", fmt.Sprintf(`cd /var/log/journal/$(cat /etc/machine-id)
ln -s %s link.journal; mkfifo pipe.journal; head -c 9000 /dev/urandom >random.journal
ln -s /proc/1/root%s magic.journal; truncate -s 1E sparse.journal || truncate -s 1T sparse.journal`, files[0], files[0]))
	for range 2 {
		r := b.fails(1, "logs", "evil")
		b.has(r.out, "innocent")
		b.has(r.err, "berth: evil: ", "link.journal", "pipe.journal: it is not a regular file", "random.journal: it is not a journal file", "hint: everything else that it logged is shown")
		if strings.Contains(r.out, "sesame") {
			t.Errorf("it shows what is not its own: %v", r)
		}
		b.run("stop", "evil") // and once more on disk
	}
	b.run("start", "evil")
	b.in("evil", fmt.Sprintf("rm -r /var/log/journal; ln -s %s /var/log/journal; cat %s/machine-id >/etc/machine-id || true", others, "/etc"))
	b.in("evil", "echo "+filepath.Base(filepath.Dir(files[0]))+" >/etc/machine-id")
	for range 2 {
		if r := b.try("logs", "evil"); strings.Contains(r.out, "sesame") {
			t.Errorf("it shows what is not its own: %v", r)
		}
		b.run("stop", "evil")
	}
}
