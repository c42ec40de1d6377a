package engine

import (
	"context"

	"github.com/berth-containers/berth/container"
)

// Update builds a container's system anew.
func (x Nixos) Update(ctx context.Context, n container.Name) error {
	place, err := x.find(n)
	if err != nil {
		return err
	}
	if place.Declarative() {
		return declarative(place)
	}
	return nil
}
