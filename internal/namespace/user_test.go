package namespace

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNewUser(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		extents []Extent
		want    string
	}{
		{[]Extent{{0, base, 1 << 16}}, "0 700000 65536"},
		{[]Extent{{0, 0, 1}}, "0 0 1"},
		{[]Extent{{0, base, 1 << 16}, {1 << 16, 0, 1}}, "0 700000 65536 65536 0 1"},
		{[]Extent{{0, 0, 1<<32 - 1}}, "0 0 4294967295"},
	} {
		users, err := NewUser(c.extents...)
		must(t, err)
		cmd := (&guest{pidfd: users}).command(t, "facts")
		cmd.Flags = unix.CLONE_NEWUSER
		f := factsOf(t, cmd)
		must(t, users.Close())
		for _, m := range []string{f.UIDMap, f.GIDMap} {
			if got := strings.Join(strings.Fields(m), " "); got != c.want {
				t.Errorf("%v: map %q", c.extents, got)
			}
		}
	}
}

func TestNewUserErrors(t *testing.T) {
	t.Parallel()
	for name, extents := range map[string][]Extent{
		"overlap inside":  {{0, base, 10}, {5, 2 * base, 10}},
		"overlap outside": {{0, base, 10}, {10, base, 10}},
		"no numbers":      {{0, base, 0}},
		"beyond the last": {{1<<32 - 1, base, 2}},
		"none":            nil,
	} {
		f, err := NewUser(extents...)
		if err == nil {
			t.Errorf("%s: taken", name)
			f.Close()
		}
	}
}
