package launch

import (
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/closure"
	"github.com/berth-containers/berth/internal/state"
)

// findInit looks for what the guest boots in its mounted root. That of a
// NixOS system is a script of the system, which ends by becoming systemd.
func findInit(l *state.Launched, root string) (err error) {
	if l.System != "" {
		l.Init = boot.Init{Kind: boot.Script, Path: closure.Init(l.System)}
		return nil // NixOS knows no offline updates
	}
	if l.Init, err = boot.Find(root); err != nil {
		return err
	}
	l.Updates = l.Init.Systemd() && boot.UpdatePending(root)
	return nil
}
