package engine

import "sync"

// Each calls f for every item, some at a time, and returns the errors in the
// order of the items.
func Each[T any](items []T, f func(T) error) []error {
	errs := make([]error, len(items))
	slots := make(chan struct{}, parallelism())
	var wg sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = f(item)
			<-slots
		})
	}
	wg.Wait()
	return errs
}
