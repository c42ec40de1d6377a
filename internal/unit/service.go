package unit

import (
	"crypto/rand"
	"fmt"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Service is a program to run. See systemd.service(5) and systemd.exec(5).
type Service struct {
	Name        string // of the unit; see NewName
	Description string
	Program     string   // absolute
	Args        []string // with the program's name in front
	Env         []string // KEY=VALUE
	Dir         string   // absolute
	User        string   // a name or number; "" is root
	Whole       bool     // stopping the unit ends what the program has started, too
	PAM         string   // of the service of pam(8) to open a session with; "" is none

	// Stdin, Stdout and Stderr are passed on as they are. A terminal that is
	// Stdin becomes the controlling one.
	Stdin, Stdout, Stderr *os.File
}

// NewName is a name for a unit that no other has.
func NewName() string { return "berth-exec-" + strings.ToLower(rand.Text()[:16]) + ".service" }

// property is a (sv) of StartTransientUnit.
type property struct {
	Name  string
	Value dbus.Variant
}

// command is a (sasb) of ExecStart.
type command struct {
	Path          string
	Args          []string
	IgnoreFailure bool
}

// statuses is a (aiai) of SuccessExitStatus.
type statuses struct{ Codes, Signals []int32 }

// properties say of a service what makes it like a program that was started
// any other way: it runs also while the guest boots or shuts down, it may
// leave others running, and its unit is gone when it has ended well.
//
// One that fails stays until it is reset, so that its exit code is there for
// who has lost the connection meanwhile.
func (s Service) properties() []property {
	set := map[string]any{
		"Description":                  s.Description,
		"Type":                         "exec", // the job fails if the program cannot be run
		"ExecStart":                    []command{{s.Program, literally(s.Args), false}},
		"Environment":                  s.Env,
		"WorkingDirectory":             s.Dir,
		"StandardInputFileDescriptor":  dbus.UnixFD(s.Stdin.Fd()),
		"StandardOutputFileDescriptor": dbus.UnixFD(s.Stdout.Fd()),
		"StandardErrorFileDescriptor":  dbus.UnixFD(s.Stderr.Fd()),
		"DefaultDependencies":          false,
		"IgnoreOnIsolate":              true,
		"IgnoreSIGPIPE":                false,
		"TasksMax":                     uint64(math.MaxUint64),
		"OOMPolicy":                    "continue",
		"CollectMode":                  "inactive",
		// Stopping the unit is to kill the program, and nothing else.
		"KillMode":   "process",
		"KillSignal": int32(unix.SIGKILL),
	}
	if s.User != "" {
		set["User"] = s.User
	}
	if s.Whole { // that it was killed is to be there for whoever asks
		set["KillMode"] = "control-group"
	} else {
		set["SuccessExitStatus"] = statuses{[]int32{}, []int32{int32(unix.SIGKILL)}}
	}
	if s.PAM != "" { // the session ends with the program, and what is left in the unit's group
		set["PAMName"], set["KillMode"] = s.PAM, "mixed"
		set["Type"] = "simple" // the helper that closes the session keeps systemd from hearing of the program's start
	}
	var out []property
	for name, v := range set {
		out = append(out, property{name, dbus.MakeVariant(v)})
	}
	return out
}

// valid says what cannot be said over D-Bus.
func (s Service) valid() error {
	for _, text := range append(append([]string{s.Program, s.Dir, s.User}, s.Args...), s.Env...) {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, noCharacter) {
			return fmt.Errorf("%.100q is not valid UTF-8", text)
		}
	}
	return nil
}

// noCharacter reports whether r is one of the numbers of Unicode that never
// are characters, which systemd does not take.
func noCharacter(r rune) bool { return r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef }

// literally protects arguments from systemd, which knows variables.
func literally(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.ReplaceAll(a, "$", "$$")
	}
	return out
}
