package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Incident is something that the kernel did to a process, as its log tells.
type Incident struct {
	At      time.Time
	Kind    IncidentKind
	Group   string // the process's cgroup, or "" where the log does not tell
	UID     uint32 // of the process, where Group is ""
	Program string // its name, which it chose itself; may be empty
	Detail  string // what it was refused
}

// IncidentKind says what the kernel did.
type IncidentKind string

// The kinds of incidents.
const (
	OutOfMemory   IncidentKind = "memory"      // killed: its group had no memory left
	HostMemory    IncidentKind = "host memory" // killed: the whole host had none left
	ForkRefused   IncidentKind = "fork"        // its group may not have more processes
	CallDenied    IncidentKind = "system call" // a seccomp filter ended it
	ProfileDenied IncidentKind = "profile"     // a profile of AppArmor refused something
)

// kernelLog is the kernel's ring of messages; see the kernel's
// Documentation/ABI/testing/dev-kmsg.
const kernelLog = "/dev/kmsg"

// Incidents reads those that the kernel's log still has, the oldest first.
func Incidents() ([]Incident, error) {
	fd, err := unix.Open(kernelLog, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: kernelLog, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, fmt.Errorf("%s is not the kernel's log here", kernelLog)
	}
	boot, err := bootTime()
	if err != nil {
		return nil, err
	}
	var out []Incident
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EPIPE): // it was overwritten meanwhile: go on with the next
			continue
		case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
			return out, nil
		case err != nil:
			return out, &os.PathError{Op: "read", Path: kernelLog, Err: err}
		}
		if i, ok := parseRecord(string(buf[:n]), boot); ok {
			out = append(out, i)
		}
	}
}

// bootTime is when the clock of the kernel's log began.
func bootTime() (time.Time, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return time.Time{}, err
	}
	return time.Now().Add(-time.Duration(ts.Nano())), nil
}

// parseRecord reads "PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT" and whatever
// lines follow.
func parseRecord(record string, boot time.Time) (Incident, bool) {
	head, text, ok := strings.Cut(record, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 3 {
		return Incident{}, false
	}
	usec, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return Incident{}, false
	}
	text, _, _ = strings.Cut(text, "\n")
	i, ok := parseMessage(text)
	i.At = boot.Add(time.Duration(usec) * time.Microsecond)
	return i, ok
}

// parseMessage recognizes the messages that are about a process of somebody.
func parseMessage(text string) (Incident, bool) {
	if rest, ok := strings.CutPrefix(text, "oom-kill:"); ok {
		i := Incident{Kind: OutOfMemory, Group: between(rest, "task_memcg=", ",task=")}
		if strings.Contains(rest, ",global_oom") {
			i.Kind = HostMemory
		}
		if _, after, ok := strings.Cut(rest, ",task="); ok {
			i.Program = before(after, ",pid=")
		}
		return i, i.Group != ""
	}
	if _, group, ok := strings.Cut(text, "fork rejected by pids controller in "); ok && strings.HasPrefix(text, "cgroup: ") {
		return Incident{Kind: ForkRefused, Group: group}, true
	}
	if strings.HasPrefix(text, "audit: type=1326 ") {
		i := Incident{Kind: CallDenied, Program: unquoted(text, " comm="), Detail: "system call " + between(text, " syscall=", " ")}
		return withUID(i, between(text, " uid=", " "))
	}
	if strings.HasPrefix(text, "audit: type=1400 ") && strings.Contains(text, `apparmor="DENIED"`) {
		detail := strings.TrimSpace(unquoted(text, " operation=") + " " + unquoted(text, " name="))
		i := Incident{Kind: ProfileDenied, Program: unquoted(text, " comm="), Detail: detail}
		return withUID(i, between(text+" ", " fsuid=", " "))
	}
	return Incident{}, false
}

func withUID(i Incident, uid string) (Incident, bool) {
	n, err := strconv.ParseUint(uid, 10, 32)
	i.UID = uint32(n)
	return i, err == nil
}

// between is what stands after the first from and before the next to; "" if
// either is not there.
func between(s, from, to string) string {
	_, after, ok := strings.Cut(s, from)
	if !ok || !strings.Contains(after, to) {
		return ""
	}
	return before(after, to)
}

func before(s, to string) string {
	s, _, _ = strings.Cut(s, to)
	return s
}

// unquoted is a value of the audit log, which has quotes around it, or is
// hexadecimal where it is odd.
func unquoted(s, key string) string {
	_, after, ok := strings.Cut(s, key)
	if ok && strings.HasPrefix(after, `"`) {
		return before(after[1:], `"`)
	}
	return before(after, " ")
}
