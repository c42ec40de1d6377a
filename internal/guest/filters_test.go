package guest

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

func someFilters() [][]unix.SockFilter {
	return [][]unix.SockFilter{
		{{Code: 0x20, K: 4}, {Code: 0x15, Jt: 1, Jf: 2, K: 0xc000003e}, {Code: 6, K: 0x7fff0000}},
		{{Code: 6, K: 0x7fff0000}},
	}
}

func TestFiltersFile(t *testing.T) {
	t.Parallel()
	b := encodeFilters(someFilters(), 17, 4711)
	if got, ok := decodeFilters(b, 17, 4711); !ok || !reflect.DeepEqual(got, someFilters()) {
		t.Errorf("%v, %v", got, ok)
	}
	for _, other := range []struct {
		pid   int
		start uint64
	}{{18, 4711}, {17, 4712}} {
		if _, ok := decodeFilters(b, other.pid, other.start); ok {
			t.Errorf("they are taken for those of %v", other)
		}
	}
	whole := map[int]bool{len(b): true, len(b) - 12: true, len(filtersMagic) + 16: true} // with fewer filters
	for n := range b {
		if _, ok := decodeFilters(b[:n], 17, 4711); ok != whole[n] {
			t.Errorf("of %d bytes: %v", n, ok)
		}
	}
}

// TestKeepFilters reads what is kept only if it fits the guest.
func TestKeepFilters(t *testing.T) {
	t.Parallel()
	g := running(t)
	file := filepath.Join(t.TempDir(), "filters")
	g.KeepFilters(file)
	if f, err := g.readFilters(t.Context(), 0); f != nil || err != nil {
		t.Errorf("of a guest without: %v, %v", f, err)
	}
	must(t, state.WriteRuntimeFile(file, encodeFilters(someFilters(), g.leader.PID, g.start), 0o600))
	if f, err := g.readFilters(t.Context(), 2); err != nil || !reflect.DeepEqual(f, someFilters()) {
		t.Errorf("kept: %v, %v", f, err)
	}
	for _, count := range []int{-1, 1, 3} { // the guest in truth has none
		if f, err := g.readFilters(t.Context(), count); f != nil || err != nil {
			t.Errorf("of a guest that has %d: %v, %v", count, f, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file there are %v, %v", entries, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

func TestConfinement(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]confinement{
		"Name:\tx\nCapBnd:\t00000000000000ff\nSeccomp:\t2\nSeccomp_filters:\t5\n": {0xff, 5},
		"CapBnd:\t0000000000000001\nSeccomp:\t0\nSeccomp_filters:\t0\n":           {1, 0},
		"CapBnd:\t0000000000000001\nSeccomp:\t2\n":                                {1, -1},
	} {
		if got, err := parseConfinement(status); err != nil || got != want {
			t.Errorf("%q: %v, %v", status, got, err)
		}
	}
	if _, err := parseConfinement("Name:\tx\n"); err == nil {
		t.Error("a status without capabilities")
	}
}
