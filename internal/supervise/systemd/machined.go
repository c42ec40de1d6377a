package systemd

import (
	"context"
	"fmt"
)

const machinedUnit = "systemd-machined.service"

// Machined implements supervise.Native.
func (s *Supervisor) Machined(ctx context.Context) (load, active string, err error) {
	props, err := s.some(ctx, machinedUnit, "Unit.LoadState")
	if err != nil {
		return "", "", fmt.Errorf("ask systemd about %s: %w", machinedUnit, err)
	}
	return text(props, "LoadState"), text(props, "ActiveState"), nil
}
