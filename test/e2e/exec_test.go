//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestExec runs all that is about one running guest in that guest.
func TestExec(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "web", "--image", debian(), "--start")
	b.in("web", "useradd -m -s /bin/sh -G adm ann && echo ann:hunter2 | chpasswd && echo root:toor | chpasswd")
	for _, via := range []string{"direct", "unit"} {
		for name, test := range map[string]func(*testing.T, *berth){
			"Streams": execStreams, "Codes": execCodes, "Signals": execSignals, "Volume": execVolume, "User": execUser,
			"Place": execPlace, "Killed": execKilled, "Terminal": execTerminal, "Shell": execShell, "Login": execLogin,
		} {
			t.Run(name+"/"+via, func(t *testing.T) {
				t.Parallel()
				here := *b
				here.TB, here.via = t, via
				test(t, &here)
			})
		}
	}
}

func execStreams(t *testing.T, b *berth) {
	r := b.run("exec", "web", "--", "sh", "-c", "echo answer; echo talk >&2")
	is(t, "stdout", r.out, "answer\n")
	is(t, "stderr", r.err, "talk\n")
	is(t, "echo", b.feed(strings.NewReader("in and out"), "exec", "web", "cat").out, "in and out")
	is(t, "no input", b.feed(strings.NewReader(""), "exec", "-i", "web", "wc", "-c").out, "0\n")
	is(t, "arguments", b.out("exec", "web", "--", "printf", "[%s]", "a b", "", "$HOME", "--", "-x"), "[a b][][$HOME][--][-x]")
	odd := []string{"${HOME}", "$$", "a$", "%h%%", `\n`, "a\nb", `"'`, "; true", "\t", "ä", "-"}
	is(t, "odd arguments", b.out(append([]string{"exec", "web", "--", "printf", "[%s]"}, odd...)...), "["+strings.Join(odd, "][")+"]")
	// What a command leaves running must not keep exec.
	if r := b.run("exec", "web", "--", "sh", "-c", "sleep 30 >&- 2>&- & echo started"); r.took > 20*time.Second {
		t.Errorf("exec waited for a process in the background: %v", r)
	}
}

func execCodes(t *testing.T, b *berth) {
	for code := range 256 {
		if b.via == "unit" && code%3 != 0 && code < 200 { // from where systemd has reasons of its own
			continue
		}
		if r := b.try("exec", "web", "--", "sh", "-c", fmt.Sprint("exit ", code)); r.code != code {
			t.Errorf("want exit code %d: %v", code, r)
		}
	}
	for _, c := range []struct {
		code int
		args []string
		err  string
	}{
		{137, []string{"sh", "-c", "kill -9 $$"}, ""},
		{143, []string{"sh", "-c", "kill $$"}, ""},
		{141, []string{"sh", "-c", "kill -PIPE $$"}, ""},
		{126, []string{"/etc/passwd"}, "permission denied"},
		{127, []string{"no-such-program"}, "no such program"},
		{127, []string{"/no/such/program"}, "no such program"},
		{125, []string{"-u", "nobody-here", "true"}, "nobody-here"},
		{125, []string{"-w", "/no/such/dir", "true"}, "/no/such/dir"},
	} {
		args := []string{"exec", "web", "--"}
		if c.code == 125 {
			args = append([]string{"exec"}, c.args[:2]...)
			c.args = append([]string{"web", "--"}, c.args[2:]...)
		}
		if b.via == "unit" && (c.code == 126 || c.code == 127) { // why it does not run, a direct entry tells
			c.code, c.err = 125, c.args[0]
		}
		b.has(b.fails(c.code, append(args, c.args...)...).err, c.err)
	}
}

// execSignals passes signals on to the command, and its way to end back.
func execSignals(t *testing.T, b *berth) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGQUIT} {
		cmd, out := b.spawn("exec", "web", "--", "sh", "-c", `trap 'echo got it; exit 42' TERM INT HUP USR1 QUIT; echo ready; while :; do sleep 0.05; done`)
		is(t, "first line", out.line(), "ready")
		must(t, cmd.Process.Signal(sig))
		is(t, "last line after "+sig.String(), out.line(), "got it")
		_ = cmd.Wait()
		is(t, "code after "+sig.String(), cmd.ProcessState.ExitCode(), 42)
	}
	cmd, out := b.spawn("exec", "web", "--", "sh", "-c", "echo ready; exec sleep 60")
	out.line()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	is(t, "code of a command that a signal ended", cmd.ProcessState.ExitCode(), 128+15)
	length := fmt.Sprint(len(b.via)) // both ways are tested at a time, in the same guest
	cmd, out = b.spawn("exec", "web", "--", "sh", "-c", "echo ready; sleep 23456"+length+"; true")
	out.line()
	b.until("the command's own command runs", func() bool { return b.guestRuns("web", "sleep", "23456"+length) != 0 })
	must(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	is(t, "code after Ctrl-C", cmd.ProcessState.ExitCode(), 128+2)
	b.until("the command's own command has ended", func() bool { return b.guestRuns("web", "sleep", "23456"+length) == 0 })
}

// lines are what a command writes.
type lines struct {
	t testing.TB
	r *bufio.Reader
}

func (l *lines) line() string {
	l.t.Helper()
	s, err := l.r.ReadString('\n')
	if err != nil {
		l.t.Fatalf("the command ended: %v (%q)", err, s)
	}
	return strings.TrimRight(s, "\r\n")
}

// spawn starts a command that the test ends, at last with the test.
func (b *berth) spawn(args ...string) (*exec.Cmd, *lines) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b.Cleanup(cancel)
	cmd := b.command(ctx, args...)
	out, err := cmd.StdoutPipe()
	must(b, err)
	cmd.Stderr = os.Stderr
	must(b, cmd.Start())
	return cmd, &lines{b, bufio.NewReader(out)}
}

// execVolume sends 64 MiB through a command and gets them back.
func execVolume(t *testing.T, b *berth) {
	const size = 64 << 20
	source := rand.NewChaCha8([32]byte{1})
	sent, got := sha256.New(), sha256.New()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := b.command(ctx, "exec", "web", "--", "cat")
	cmd.Stdin = io.TeeReader(io.LimitReader(source, size), sent)
	cmd.Stdout = got
	must(t, cmd.Run())
	is(t, "sum", fmt.Sprintf("%x", got.Sum(nil)), fmt.Sprintf("%x", sent.Sum(nil)))
}

func execUser(t *testing.T, b *berth) {
	is(t, "root", b.out("exec", "web", "--", "sh", "-c", "id -un; pwd; echo $HOME $USER $SHELL"), "root\n/root\n/root root /bin/bash")
	is(t, "ann", b.out("exec", "-u", "ann", "web", "--", "sh", "-c", "id -un; id -Gn; pwd; echo $HOME $LOGNAME"), "ann\nann adm\n/home/ann\n/home/ann ann")
	is(t, "number", b.out("exec", "--user", "1000", "web", "id", "-un"), "ann")
	if b.via == "unit" {
		b.has(b.fails(125, "exec", "--user", "4321", "web", "id", "-u").err, "no user 4321 by name")
	} else {
		is(t, "number without name", b.out("exec", "--user", "4321", "web", "id", "-u"), "4321")
	}
	is(t, "workdir", b.out("exec", "-w", "/usr/lib", "web", "pwd"), "/usr/lib")
	is(t, "env", b.out("exec", "-e", "A=1 2", "-e", "B=", "web", "--", "sh", "-c", `echo "$A,$B,${C-unset}"`), "1 2,,unset")
	b.env = []string{"SECRET_OF_THE_HOST=x"}
	if strings.Contains(b.out("exec", "web", "env"), "SECRET_OF_THE_HOST") {
		t.Error("the host's environment is in the guest")
	}
	b.fails(1, "exec", "-u", "ann", "web", "--", "cat", "/etc/shadow")
	is(t, "capabilities of a user", b.out("exec", "-u", "ann", "web", "sed", "-n", "s/CapEff:\\s*//p", "/proc/self/status"), "0000000000000000")
}

// execPlace: a command is where the guest's own processes are.
func execPlace(t *testing.T, b *berth) {
	is(t, "namespaces", b.in("web", "for n in cgroup ipc mnt net pid user uts; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done"), "")
	is(t, "files open", b.in("web", "ls /proc/self/fd | wc -l"), "4") // ls has its directory open
	switch group, parent := b.in("web", "cat /proc/self/cgroup"), b.in("web", "echo $PPID"); b.via {
	case "direct":
		is(t, "control group", group, b.in("web", "cat /proc/1/cgroup"))
		is(t, "parent", parent, "0")
		if status, _ := os.ReadFile("/proc/self/status"); !bytes.Contains(status, []byte("Seccomp:\t0\n")) {
			break // who has a filter may not read those of others
		}
		is(t, "filters of system calls", b.in("web", "grep Seccomp_filters /proc/self/status"), b.in("web", "grep Seccomp_filters /proc/1/status"))
	case "unit":
		b.has(group, "/system.slice/berth-exec-")
		is(t, "parent", parent, "1")
		is(t, "filters of system calls", b.in("web", "grep Seccomp_filters /proc/self/status"), b.in("web", "grep Seccomp_filters /proc/1/status"))
	}
	length := fmt.Sprint(60 + len(b.via)) // both ways are tested at a time, in the same guest
	cmd, out := b.spawn("exec", "web", "--", "sh", "-c", "echo ready; exec sleep "+length)
	out.line()
	b.until("the command is in the container's control group", func() bool { return b.guestRuns("web", "sleep", length) != 0 })
	is(t, "user on the host", uidOf(b, b.guestRuns("web", "sleep", length)), b.status("web").UIDBase)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
}

// guestRuns is the PID of a process with these arguments in a container's
// control group, or 0.
func (b *berth) guestRuns(name string, args ...string) int {
	b.Helper()
	for _, pid := range pidsOf(b.root, name) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if string(text) == strings.Join(args, "\x00")+"\x00" {
			return pid
		}
	}
	return 0
}

// execKilled: with berth exec its command ends.
func execKilled(t *testing.T, b *berth) {
	length := fmt.Sprint(len(b.via)) // both ways are tested at a time, in the same guest
	cmd, out := b.spawn("exec", "web", "--", "sh", "-c", "echo ready; exec sleep 12345"+length)
	out.line()
	b.until("the command runs", func() bool { return b.guestRuns("web", "sleep", "12345"+length) != 0 })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	b.until("the command ends", func() bool { return b.guestRuns("web", "sleep", "12345"+length) == 0 })
}

// TestExecEndsWithGuest: with the guest berth exec ends, and says so.
func TestExecEndsWithGuest(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	b.run("create", "k", "--image", tiny())
	for _, verb := range []string{"terminate", "stop", "restart"} {
		b.execEndsWithGuest("k", verb)
	}
	b.via = "unit"
	b.run("create", "web", "--image", debian())
	for _, verb := range []string{"terminate", "stop"} {
		b.execEndsWithGuest("web", verb)
	}
}

func (b *berth) execEndsWithGuest(name, verb string) {
	b.Helper()
	b.run("start", name)
	cmd, _ := b.spawn("exec", name, "--", "sleep", "60")
	b.until("the command runs", func() bool { return b.guestRuns(name, "sleep", "60") != 0 })
	if b.via == "unit" { // and systemd has said so
		b.until("its unit is active", func() bool {
			return b.try("exec", "--via", "direct", name, "--", "systemctl", "is-active", "berth-exec-*").out == "active\n"
		})
	}
	b.run(verb, name)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 137 && (verb != "stop" || code != 143) {
		b.Errorf("%s: code after %s: %d", name, verb, code)
	}
}

// terminal is a pair of terminal ends, of which berth gets one.
type terminal struct {
	t      testing.TB
	master *os.File
	cmd    *exec.Cmd
	seen   bytes.Buffer
}

// onTerminal starts a command on a terminal of 80 columns and 24 lines.
func (b *berth) onTerminal(args ...string) *terminal {
	b.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(b, err)
	master := os.NewFile(uintptr(fd), "master")
	must(b, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(b, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(b, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	term := &terminal{t: b, master: master, cmd: b.command(ctx, args...)}
	term.resize(80, 24)
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(b, term.cmd.Start())
	slave.Close()
	b.Cleanup(func() { cancel(); term.cmd.Wait(); master.Close() })
	return term
}

func (m *terminal) resize(columns, lines uint16) {
	m.t.Helper()
	conn, err := m.master.SyscallConn()
	must(m.t, err)
	must(m.t, conn.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: lines})
	}))
	must(m.t, err)
}

func (m *terminal) write(text string) {
	m.t.Helper()
	_, err := m.master.WriteString(text)
	must(m.t, err)
}

// await reads until what was written since the last await matches.
func (m *terminal) await(pattern string) string {
	m.t.Helper()
	re := regexp.MustCompile(pattern)
	_ = m.master.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 4096)
	for {
		if at := re.FindIndex(m.seen.Bytes()); at != nil {
			return string(m.seen.Next(at[1])[at[0]:])
		}
		n, err := m.master.Read(buf)
		m.seen.Write(buf[:n])
		if err != nil && !re.Match(m.seen.Bytes()) {
			m.t.Fatalf("the terminal does not show %q: %v\n%q", pattern, err, m.seen.String())
		}
	}
}

// code waits for the command's end.
func (m *terminal) code() int {
	m.t.Helper()
	done := make(chan struct{})
	go func() { _ = m.cmd.Wait(); close(done) }()
	go io.Copy(io.Discard, m.master)
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		m.t.Fatal("the command on the terminal does not end")
	}
	return m.cmd.ProcessState.ExitCode()
}

func execTerminal(t *testing.T, b *berth) {
	m := b.onTerminal("exec", "-t", "web", "--", "sh", "-c", `tty; stty size; trap 'stty size' WINCH; echo ready; until read line; do :; done; echo "[$line]"; read line; exit 9`)
	m.await(`/dev/pts/\d+`)
	m.await("24 80")
	m.await("ready")
	m.resize(132, 50)
	m.await("50 132")
	m.write("typed\r")
	m.await(`\[typed\]`)
	m.write("\r")
	is(t, "code", m.code(), 9)

	m = b.onTerminal("exec", "-t", "web", "--", "sh", "-c", "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done")
	m.await("ready")
	m.write("\x03")
	m.await("interrupted")
	is(t, "code after ^C", m.code(), 3)

	m = b.onTerminal("exec", "web", "--", "sh", "-c", "test -t 0 || test -t 1 || echo no terminal") // not the host's
	m.await("no terminal")
	is(t, "code", m.code(), 0)
	is(t, "terminal without one on the host", b.feed(strings.NewReader("piped\n"), "exec", "-t", "web", "--", "sh", "-c", "read x; echo got $x; tty").code, 0)
}

func execShell(t *testing.T, b *berth) {
	m := b.onTerminal("shell", "web")
	m.await("# ")
	m.write("echo $((6*7)) $0 $(tty)\r")
	m.await(`42 -bash /dev/pts/\d+`)
	m.write("stat -c %U: $(tty)\r")
	m.await("root:")
	m.write("exit 5\r")
	is(t, "code", m.code(), 5)
	is(t, "script", b.feed(strings.NewReader("id -un; pwd\n"), "shell", "-u", "ann", "web").out, "ann\n/home/ann\n")
	is(t, "command", b.out("shell", "web", "--", "-c", "echo $0"), "-bash")
}

func execLogin(t *testing.T, b *berth) {
	m := b.onTerminal("login", "web")
	m.await("login: ")
	m.write("ann\r")
	m.await("assword: ")
	m.write("wrong\r")
	m.await("incorrect")
	m.await("login: ")
	m.write("ann\r")
	m.await("assword: ")
	m.write("hunter2\r")
	m.await(`\$ `)
	m.write("id -un; exit\r")
	m.await("ann\r")
	m.code()
}
