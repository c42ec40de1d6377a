package mountinfo

import (
	"slices"
	"testing"
)

func TestBelow(t *testing.T) {
	t.Parallel()
	all, err := Below("/")
	if err != nil || !slices.Contains(all, "/proc") {
		t.Errorf("below /: %q, %v", all, err)
	}
	if some, err := Below("/proc"); err != nil || !slices.Contains(some, "/proc") || slices.Contains(some, "/") {
		t.Errorf("below /proc: %q, %v", some, err)
	}
	if none, err := Below("/pro"); err != nil || len(none) > 0 {
		t.Errorf("below /pro: %q, %v", none, err)
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"/a": "/a", `/a\040b\134\011`: "/a b\\\t", `\04`: `\04`, `\999x`: `\999x`, "": ""} {
		if got := Unescape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
