package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// MostNeighbours is how many neighbours the kernel may know at a time, of either
// family, while there are guests. These are all machines', guests included: with
// the kernel's own 1024, a guest that looks for a few hundred addresses a second
// leaves no place for the host's router.
const MostNeighbours = 1 << 16

// Neighbours are the settings for that, of the families that the kernel has. One
// that is higher already is not among them, and none are in a network namespace
// that is not the machine's first.
func Neighbours() ([]Setting, error) {
	var out []Setting
	for _, family := range []string{"ipv4", "ipv6"} {
		name := "net/" + family + "/neigh/default/gc_thresh3"
		value, err := Value(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		most, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if most <= MostNeighbours {
			out = append(out, Setting{Name: name, Value: strconv.Itoa(MostNeighbours)})
		}
	}
	return out, nil
}
