package launch

import (
	"github.com/berth-containers/berth/internal/boot"
	"github.com/berth-containers/berth/internal/state"
)

// findInit looks for what the guest boots in its mounted root.
func findInit(l *state.Launched, root string) (err error) {
	if l.Init, err = boot.Find(root); err != nil {
		return err
	}
	l.Updates = l.Init.Systemd() && boot.UpdatePending(root)
	return nil
}
