package systemd

import (
	"context"
	"fmt"
)

const machinedUnit = "systemd-machined.service"

// Machined implements supervise.Registrar.
func (s *Supervisor) Machined(ctx context.Context) (load, active string, err error) {
	conn, err := s.conn()
	if err != nil {
		return "", "", err
	}
	props, err := conn.GetUnitPropertiesContext(ctx, machinedUnit)
	if err != nil {
		return "", "", fmt.Errorf("ask systemd about %s: %w", machinedUnit, err)
	}
	return text(props, "LoadState"), text(props, "ActiveState"), nil
}
