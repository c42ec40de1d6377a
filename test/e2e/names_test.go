//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise/systemd"
)

// soon is how long names may take to follow what starts, stops and is killed.
const soon = time.Second

// lost is how long a guest's resolver may wait before it repeats a question that
// was lost with the process; see resolv.conf(5).
const lost = 3 * time.Second

// TestNames: guests find each other by name, alias and address, and so does the
// host, as they start and stop. Ports answer on [::1].
func TestNames(t *testing.T) {
	l := newLan(t)
	for i, name := range []string{"one", "two", "three"} {
		l.run("create", name, "--image", debian(), "privateNetwork=true", "aliases=[alias-of-"+name+"]", fmt.Sprintf("forwardPorts=[{hostPort: %d, containerPort: 80}]", 8081+i))
	}
	l.run("start", "one", "two")
	four, six := l.addresses("two")
	for script, want := range map[string]string{
		"getent ahostsv4 two | head -1":                     four + " ",
		"getent ahostsv4 TWO.containers | head -1":          four + " ",
		"getent ahostsv6 two.containers | head -1":          six + " ",
		"getent ahostsv4 alias-of-two | head -1":            four + " ",
		"getent ahostsv6 alias-of-two.containers | head -1": six + " ",
		"getent hosts " + four:                              "two.containers",
		"getent hosts " + six:                               "two.containers",
		"getent hosts nobody.containers || echo $?":         "2",
	} {
		l.has(l.in("one", script), want)
	}
	l.has(l.read(filepath.Join(l.root, "etc/hosts")), four+" two.containers alias-of-two.containers\n", six+" two.containers")
	l.run("start", "three")
	l.within(soon, "getent ahostsv4 three | head -1", l.first("three"))
	l.run("stop", "three")
	l.within(soon, "getent hosts three.containers || echo $?", "2")
	for end := time.Now().Add(soon); strings.Contains(l.read(filepath.Join(l.root, "etc/hosts")), "three"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) { // it is nobody's child here
			t.Fatal("the host still knows what has stopped")
		}
	}
	l.in("two", `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; fork and exit; open STDOUT, ">/dev/null"; open STDERR, ">&STDOUT"; open STDIN, "</dev/null"; while ($c = $s->accept) { print $c "here\n"; close $c }'`)
	is(l, "the port on [::1]", l.host("timeout 5 bash -c 'read -r x </dev/tcp/::1/8082; echo $x'"), "here")
	var findings []struct{ Check, Severity, Text string }
	l.json(&findings, "doctor", "--json")
	for _, f := range findings {
		if f.Check == "names" && (f.Severity != "ok" || !strings.Contains(f.Text, "runs")) {
			t.Errorf("doctor: %+v", f)
		}
	}
	l.run("stop", "--all")
	l.awaitNames()
	is(l, "the host's file afterwards", l.read(filepath.Join(l.root, "etc/hosts")), "127.0.0.1 localhost\n")
	if underSystemd() { // which starts it when nobody needs it, if it was killed as the last guest stopped
		must(t, command(t.Context(), "systemctl", "start", systemd.NamesUnit(state.Paths{Root: l.root})))
		l.awaitNames()
	}
}

// TestNamesKilled kills the process for names again and again, beside a
// connection between guests and questions without end.
func TestNamesKilled(t *testing.T) {
	l := newLan(t)
	for _, name := range []string{"one", "two"} {
		l.run("create", name, "--image", debian(), "--start", "privateNetwork=true")
	}
	four, _ := l.addresses("two")
	const detached = `fork and exit; open STDOUT, ">/dev/null"; open STDERR, ">&STDOUT"; open STDIN, "</dev/null"; `
	l.in("two", `perl -MIO::Socket::INET -e '`+detached+`$s = IO::Socket::INET->new(LocalPort => 7777, Listen => 1) or die; $c = $s->accept; while (sysread $c, $b, 1) { syswrite $c, $b }'`)
	l.in("one", `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new("`+four+`:7777") or die; $s->autoflush(1); `+detached+
		`while (1) { syswrite $s, "x" or last; sysread $s, $b, 1 or last; open F, ">/root/count"; print F ++$n; close F; select undef, undef, undef, 0.01 } unlink "/root/count"'`)
	count := func() string { return l.in("one", "until test -s /root/count; do sleep 0.01; done; cat /root/count") }
	for range 20 {
		before, pid := count(), l.names()
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		l.within(lost, "getent ahostsv4 two | head -1", four+" ")
		for end := time.Now().Add(soon); l.names() == pid && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // the kernel ends it when it gets to it
		}
		l.within(soon, "getent ahostsv4 two | head -1", four+" ")
		if now := count(); now == before {
			now = l.in("one", "sleep 0.2; cat /root/count")
			if now == before {
				t.Fatalf("the connection has stopped at %s", before)
			}
		}
	}
}

// addresses are the first ones of a guest that runs.
func (l *lan) addresses(name string) (four, six string) {
	l.Helper()
	for _, a := range l.lease(name).Links[0].Addresses {
		a, _, _ = strings.Cut(a, "/")
		if strings.Contains(a, ":") {
			six = a
		} else {
			four = a
		}
	}
	return four, six
}

func (l *lan) first(name string) string {
	four, _ := l.addresses(name)
	return four + " "
}

// within runs a script in the guest one until it says what is wanted: it has to
// where it begins when the limit has passed, and in that time. What it takes to
// get into the guest is not counted.
func (l *lan) within(limit time.Duration, script, want string) {
	l.Helper()
	timed := "begun=$(date +%s%N); " + script + "; echo; echo $(($(date +%s%N) - begun))"
	for begun := time.Now(); ; {
		late := time.Since(begun) > limit
		said := strings.TrimSpace(l.in("one", timed))
		end := strings.LastIndexByte(said, '\n')
		got := said[:max(end, 0)]
		ns, err := strconv.Atoi(said[end+1:])
		must(l, err)
		switch took := time.Duration(ns); {
		case took > limit, late && !strings.Contains(got, want):
			l.Errorf("%v after the beginning, in %v, %s says %q, not %q", time.Since(begun), took, script, got, want)
			return
		case strings.Contains(got, want):
			return
		}
	}
}

// names is the PID of the process for names, or of the last one.
func (l *lan) names() int {
	l.Helper()
	var st struct{ PID int }
	b, err := os.ReadFile(filepath.Join(l.root, "run/berth/names.json"))
	must(l, err)
	must(l, json.Unmarshal(b, &st))
	return st.PID
}
