package engine

import (
	"sync"
	"sync/atomic"
)

// Each calls f for every item, some at a time, and returns the errors in the
// order of the items.
func Each[T any](items []T, f func(T) error) []error {
	errs := make([]error, len(items))
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range min(parallelism(), len(items)) {
		wg.Go(func() {
			for i := taken.Add(1) - 1; int(i) < len(items); i = taken.Add(1) - 1 {
				errs[i] = f(items[i])
			}
		})
	}
	wg.Wait()
	return errs
}
