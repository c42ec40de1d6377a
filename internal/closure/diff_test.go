package closure

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

// closureWith has a store path for each name, with the hash of its place.
func closureWith(first int, names ...string) Closure {
	var c Closure
	for i, n := range names {
		c.Paths = append(c.Paths, container.StorePath(fmt.Sprintf("/nix/store/%032d-%s", first+i, n)))
	}
	return c
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"bash-5.2-p37": {"bash", "5.2-p37"}, "openssl-3.0.14-bin": {"openssl", "3.0.14"}, "glibc-2.40-66": {"glibc", "2.40-66"},
		"unit-web.service": {"unit-web.service", ""}, "nixos-system-web-24.11pre": {"nixos-system-web", "24.11pre"}, "a-": {"a-", ""}, "-1": {"", "1"},
		"x-1-lib": {"x", "1"}, "etc": {"etc", ""}, "source-2024-01-02": {"source", "2024-01-02"},
	} {
		name, version := split(closureWith(0, in).Paths[0])
		if got := [2]string{name, version}; got != want {
			t.Errorf("%s: %q, not %q", in, got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	before := closureWith(0, "same-1", "gone-1", "up-1", "up-1-bin", "two-1", "two-2", "unit-web", "etc")
	after := closureWith(0, "same-1")
	after.Paths = append(after.Paths, closureWith(100, "new-2.0", "bare", "up-2", "up-2-bin", "two-2", "unit-web", "etc").Paths...)
	want := container.PackageDiff{
		Added:   []container.Package{{Name: "bare", Versions: []string{}}, {Name: "new", Versions: []string{"2.0"}}},
		Removed: []container.Package{{Name: "gone", Versions: []string{"1"}}},
		Changed: []container.PackageChange{{Name: "two", Old: []string{"1", "2"}, New: []string{"2"}}, {Name: "up", Old: []string{"1"}, New: []string{"2"}}},
		Rebuilt: 2,
	}
	if diff := cmp.Diff(want, Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(container.PackageDiff{}, Diff(after, after)); diff != "" {
		t.Error(diff)
	}
}
