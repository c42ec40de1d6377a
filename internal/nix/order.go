package nix

import (
	"fmt"
	"maps"
	"slices"
)

// Order sorts store paths so that each comes after all that it refers to. What
// they refer to besides does not matter.
func Order(infos map[StorePath]Info) ([]StorePath, error) {
	o := orderer{infos: infos, state: map[StorePath]int{}}
	for _, p := range slices.Sorted(maps.Keys(infos)) {
		if err := o.visit(p); err != nil {
			return nil, err
		}
	}
	return o.out, nil
}

type orderer struct {
	infos map[StorePath]Info
	state map[StorePath]int
	out   []StorePath
}

const (
	visiting = iota + 1
	visited
)

func (o *orderer) visit(p StorePath) error {
	switch o.state[p] {
	case visited:
		return nil
	case visiting:
		return fmt.Errorf("%s refers to itself by way of others, which no store path can", p)
	}
	o.state[p] = visiting
	for _, r := range o.infos[p].References {
		if _, here := o.infos[r]; !here || r == p {
			continue
		}
		if err := o.visit(r); err != nil {
			return err
		}
	}
	o.state[p] = visited
	o.out = append(o.out, p)
	return nil
}
