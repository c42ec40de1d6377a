package nix

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/berth-containers/berth/container"
)

// ErrNoNix says that the host has no Nix.
var ErrNoNix = errors.New("this host has no Nix")

// Program is one of the host's Nix, such as nix-store. sudo's PATH may lack
// it. The error matches ErrNoNix.
func Program(name string) (string, error) {
	for _, p := range []string{name, "/run/current-system/sw/bin/" + name, "/nix/var/nix/profiles/default/bin/" + name, "/root/.nix-profile/bin/" + name} {
		if found, err := exec.LookPath(p); err == nil {
			return found, nil
		}
	}
	return "", &container.Error{Err: fmt.Errorf("%w: there is no %s", ErrNoNix, name),
		Hint: "install Nix, or build the system elsewhere, bring it here with berth nix pull, and name it with system"}
}
