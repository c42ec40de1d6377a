package declare

import (
	"fmt"
	"strings"
)

// ownedFlag is an option of systemd-nspawn that berth gives itself.
type ownedFlag struct {
	long  string // without dashes
	short byte   // 0: none
	use   string // what to do instead
}

func ownedFlags() []ownedFlag {
	const berths = "berth gives this option itself: leave it out"
	source := "use the key image, or another one that says what the guest is made of"
	return []ownedFlag{
		{"directory", 'D', source},
		{"image", 'i', source},
		{"template", 0, source},
		{"ephemeral", 'x', "use the key ephemeral"},
		{"private-users", 0, "use the key privateUsers"},
		{"private-users-chown", 0, "use the key privateUsers"},
		{"private-users-ownership", 0, "use the key privateUsers"},
		{"", 'U', "use the key privateUsers"},
		{"private-network", 0, "use the key privateNetwork"},
		{"network-namespace-path", 0, "use the key networkNamespace"},
		{"machine", 'M', "the guest has the name of the container"},
		{"boot", 'b', berths},
		{"as-pid2", 'a', berths},
		{"notify-ready", 0, berths},
		{"register", 0, berths},
		{"keep-unit", 0, berths},
		{"kill-signal", 0, berths},
		{"console", 0, berths},
		{"pipe", 'P', berths},
	}
}

// valueFlags are the one-letter options that take the rest of their word, or
// the next one, as their value; see systemd-nspawn(1).
const valueFlags = "DiMuSEpLZ"

// checkFlag says why a word of extraFlags is not allowed.
func checkFlag(s string) error {
	switch {
	case s == "-" || s == "--":
		return hinted{fmt.Errorf("%q ends the options, and what the guest runs is not for extraFlags to say", s), "leave it out"}
	case strings.HasPrefix(s, "--"):
		return checkLongFlag(s)
	case strings.HasPrefix(s, "-"):
		return checkShortFlags(s)
	}
	return nil
}

// checkLongFlag also refuses the start of an owned option, which getopt_long(3)
// takes for the whole.
func checkLongFlag(s string) error {
	flag, _, _ := strings.Cut(s[2:], "=")
	for _, o := range ownedFlags() {
		if o.long == "" || !strings.HasPrefix(o.long, flag) {
			continue
		}
		if o.long == flag {
			return hinted{fmt.Errorf("--%s is not for extraFlags", flag), o.use}
		}
		return hinted{fmt.Errorf("--%s may be short for --%s, which is not for extraFlags", short(flag), o.long), o.use}
	}
	return nil
}

func checkShortFlags(s string) error {
	for i := 1; i < len(s); i++ {
		for _, o := range ownedFlags() {
			if o.short == s[i] {
				return hinted{fmt.Errorf("-%c is not for extraFlags", s[i]), o.use}
			}
		}
		if strings.IndexByte(valueFlags, s[i]) >= 0 {
			return nil
		}
	}
	return nil
}

// extraFlags are arguments of systemd-nspawn.
func extraFlags() codec[[]string] {
	word := plain("", "", func(s string) (string, error) {
		if s == "" {
			return "", fmt.Errorf("the argument is empty")
		}
		if err := checkFlag(s); err != nil {
			return "", err
		}
		return noNUL(s)
	})
	word.max = maxArgument
	c := listOf("a list of arguments", word.codec(), nil)
	read := c.read
	c.read = func(r *reader, at path, v *value) ([]string, bool) {
		list, ok := read(r, at, v)
		for i := range list {
			if ok && strayWord(list, i) {
				r.problem(at.index(i), v.list[i].pos, fmt.Errorf("systemd-nspawn would take %q for the command to run", short(list[i])),
					"an option starts with -, and only its value may follow without")
				ok = false
			}
		}
		return list, ok
	}
	return c
}

// strayWord reports whether word i is neither an option nor can be the value
// of the one before it.
func strayWord(list []string, i int) bool {
	if strings.HasPrefix(list[i], "-") {
		return false
	}
	return i == 0 || !strings.HasPrefix(list[i-1], "-") || strings.Contains(list[i-1], "=")
}
