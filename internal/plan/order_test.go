package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
)

// names are those in s, parted by blanks.
func names(s string) []container.Name {
	var out []container.Name
	for n := range strings.FieldsSeq(s) {
		out = append(out, container.Name(n))
	}
	return out
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names string
		deps  map[container.Name]string
		want  string // levels parted by |
	}{
		{"", nil, ""},
		{"a", nil, "a"},
		{"c a b", nil, "c a b"},
		{"a b c", map[container.Name]string{"a": "b", "b": "c"}, "c | b | a"},
		{"d b c a", map[container.Name]string{"d": "b c", "b": "a", "c": "a"}, "a | b c | d"},
		{"a b", map[container.Name]string{"a": "a", "b": "a"}, "a | b"},
		{"a b", map[container.Name]string{"a": "unknown b", "b": "unknown"}, "b | a"},
		{"a b c d", map[container.Name]string{"a": "b", "b": "a", "c": "a", "d": ""}, "d | a b c"},
		{"a b c", map[container.Name]string{"a": "b b c b", "b": "c c"}, "c | b | a"},
	} {
		asked := func(n container.Name) []container.Name { return names(c.deps[n]) }
		for range 100 {
			in := names(c.names)
			var parts []string
			for _, level := range Levels(in, asked) {
				parts = append(parts, strings.Trim(fmt.Sprint(level), "[]"))
			}
			if got := strings.Join(parts, " | "); got != c.want {
				t.Errorf("%s: %s, not %s", c.names, got, c.want)
				break
			}
			if got := strings.Trim(fmt.Sprint(in), "[]"); got != c.names {
				t.Fatalf("%s has become %s", c.names, got)
			}
		}
	}
}
