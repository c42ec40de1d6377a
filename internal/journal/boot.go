package journal

import (
	"bytes"
	"encoding/hex"
	"maps"
	"slices"
	"time"
)

// Boot is the time between two starts of a machine.
type Boot struct {
	ID          string    // as Entry.Boot
	First, Last time.Time // of its entries
}

// maxBoots is how many a guest may have, so that none takes the memory of whoever
// looks at its journals.
const maxBoots = 10_000

// Boots are the boots that the journals tell of, the oldest first. What cannot
// be read is left out; the error tells of it.
func Boots(places []Place, machines []string) ([]Boot, error) {
	ways, err := (&Reader{}).open(places, machines)
	defer closeAll(ways)
	found := map[ID]Boot{}
	for _, w := range ways {
		for w.forward(); !w.ended; w.forward() {
			at := w.head.time()
			b, known := found[w.head.boot]
			if !known && len(found) >= maxBoots {
				w.at++
				continue
			}
			if !known {
				b = Boot{ID: hex.EncodeToString(w.head.boot[:]), First: at, Last: at}
			}
			if at.Before(b.First) {
				b.First = at
			}
			if at.After(b.Last) {
				b.Last = at
			}
			found[w.head.boot] = b
			w.at++
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Boot) int {
		if c := a.First.Compare(b.First); c != 0 {
			return c
		}
		return bytes.Compare([]byte(a.ID), []byte(b.ID))
	}), err
}
