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

// soon is how long names may take to follow what starts and stops; on a busy
// machine they may take longer, but not each time.
const soon = time.Second

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
	hosts := filepath.Join(l.root, "etc/hosts")
	for try := 1; ; try++ {
		l.run("start", "three")
		started := l.within(l.in, "getent ahostsv4 three | head -1", l.first("three"))
		l.run("stop", "three")
		stopped := l.within(l.in, "getent hosts three.containers || echo gone", "gone")
		followed := l.within(func(_, script string) string { return l.host(script) }, "grep three "+hosts+" || echo none", "none")
		if max(started, stopped, followed) <= soon {
			break
		}
		if try == 5 {
			t.Fatalf("names follow a start after %v, a stop after %v, and on the host after %v", started, stopped, followed)
		}
	}
	l.in("two", `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; fork and exit; open STDOUT, ">/dev/null"; open STDERR, ">&STDOUT"; open STDIN, "</dev/null"; while ($c = $s->accept) { print $c "here\n"; close $c }'`)
	is(l, "what ps and ss call the process for names", strings.TrimSpace(l.read(fmt.Sprintf("/proc/%d/comm", l.names()))), "berth")
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
	l.in("one", `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new("`+four+`:7777") or die; $s->autoflush(1); sub says { open F, ">/root/new"; print F @_; close F; rename "/root/new", "/root/count" } `+detached+
		`while (1) { syswrite $s, "x" or last; sysread $s, $b, 1 or last; says(++$n); select undef, undef, undef, 0.01 } says("broken")'`)
	count := func() string { return l.in("one", "until test -e /root/count; do sleep 0.01; done; cat /root/count") }
	for range 20 {
		before, pid := count(), l.names()
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		l.within(l.in, "getent ahostsv4 two | head -1", four+" ")
		l.until("another process follows", func() bool { return l.names() != pid })
		l.within(l.in, "getent ahostsv4 two | head -1", four+" ") // its PID is there before it serves
		l.within(l.in, "case $(cat /root/count) in "+before+" | broken) ;; *) echo goes on; esac", "goes on")
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

// within runs a script in the guest one, or where else, until it says what is
// wanted, and returns how long that took, without what it takes to get there
// the last time.
func (l *lan) within(run func(name, script string) string, script, want string) time.Duration {
	l.Helper()
	timed := "begun=$(date +%s%N); " + script + "; echo; echo $(($(date +%s%N) - begun))"
	for begun := time.Now(); ; {
		before := time.Since(begun)
		said := strings.TrimSpace(run("one", timed))
		end := strings.LastIndexByte(said, '\n')
		got := said[:max(end, 0)]
		ns, err := strconv.Atoi(said[end+1:])
		must(l, err)
		if strings.Contains(got, want) {
			return before + time.Duration(ns)
		}
		if before > patience {
			l.Fatalf("%v after the beginning, %s says %q, not %q", before, script, got, want)
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
