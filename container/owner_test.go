package container

import (
	"strings"
	"testing"
)

func TestHowToChange(t *testing.T) {
	t.Parallel()
	for owner, want := range map[Owner]string{OwnerNixOS: "nixos-rebuild switch", OwnerFile("/a.yaml"): "berth apply", OwnerCLI: "berth set"} {
		if got := owner.HowToChange(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", owner, got)
		}
	}
}
