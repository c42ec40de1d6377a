package main

import "testing"

func TestAvailable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"MemTotal:       24684092 kB\nMemFree:        20000000 kB\nMemAvailable:       5 kB\n": 5 << 10,
		"MemTotal: 7 kB\n": 0, "MemAvailable: many kB": 0, "": 0,
	} {
		if got := available(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
