package state

import (
	"slices"
	"testing"
)

func TestMountsBelow(t *testing.T) {
	t.Parallel()
	all, err := MountsBelow("/")
	if err != nil || !slices.Contains(all, "/proc") {
		t.Errorf("below /: %q, %v", all, err)
	}
	if some, err := MountsBelow("/proc"); err != nil || !slices.Contains(some, "/proc") || slices.Contains(some, "/") {
		t.Errorf("below /proc: %q, %v", some, err)
	}
	if none, err := MountsBelow("/pro"); err != nil || len(none) > 0 {
		t.Errorf("below /pro: %q, %v", none, err)
	}
}

func TestUnescapeOctal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"/a": "/a", `/a\040b\134\011`: "/a b\\\t", `\04`: `\04`, `\999x`: `\999x`, "": ""} {
		if got := unescapeOctal(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
