package cli

import (
	"os"
	"testing"
)

// TestVerbs holds that verbs are known by their names: words of a command line
// choose which are made.
func TestVerbs(t *testing.T) {
	t.Parallel()
	for group, verbs := range all() {
		for name, verb := range verbs {
			if c := verb(&app{}); c.Name() != name || c.Hidden != (group == "") {
				t.Errorf("%s is the command %q, hidden: %v", name, c.Name(), c.Hidden)
			}
		}
	}
	for _, words := range [][]string{{"exec", "x", "--", "stop"}, {"--root", "/", "stop", "exec"}, {"stop"}} {
		root := (&app{Streams: Streams{os.Stdin, os.Stdout, os.Stderr}}).command(words)
		if c, _, err := root.Find(words); err != nil || c == root || len(root.Commands()) > 2 {
			t.Errorf("%q finds %v of %d, %v", words, c, len(root.Commands()), err)
		}
	}
}
