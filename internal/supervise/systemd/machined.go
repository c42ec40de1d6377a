package systemd

import (
	"context"
	"fmt"
)

const machinedUnit = "systemd-machined.service"

// Machined implements supervise.Registrar.
func (s *Supervisor) Machined(ctx context.Context) (load, active string, err error) {
	l, err := s.connect()
	if err != nil {
		return "", "", err
	}
	props, err := l.units.GetUnitPropertiesContext(ctx, machinedUnit)
	if err != nil {
		return "", "", fmt.Errorf("ask systemd about %s: %w", machinedUnit, err)
	}
	return text(props, "LoadState"), text(props, "ActiveState"), nil
}
