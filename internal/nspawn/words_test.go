package nspawn

import (
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"":                      "",
		"berth: web: no init\n": "web: no init",
		"one\n\n  two \n":       "one; two",
		"Attempted to remove disk file system under \"/run/systemd/nspawn/propagate/x\", and we can't allow that.\nreal\n": "real",
		strings.Repeat("x", 2000) + "\nend\n": strings.Repeat("x", 1000-5) + "; end",
	} {
		if got := LastWords([]byte(said)); got != want {
			t.Errorf("%.60q: got %.60q, want %.60q", said, got, want)
		}
	}
}
