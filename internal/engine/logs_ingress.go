package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/network/ingress"
)

// requests tells what the host answered for the container since that was made.
func (l *logs) requests(ctx context.Context) error {
	var past []container.LogLine
	told := func() {
		slices.SortStableFunc(past, func(a, b container.LogLine) int { return a.Time.Compare(b.Time) }) // they were written when they ended
		for _, line := range lastOf(past, l.query.Last) {
			l.tell(line)
		}
		past = nil
	}
	next := func(line container.LogLine) { past = append(past, line) }
	var live func()
	if l.query.Follow {
		live = func() {
			told()
			next = l.tell
		}
	}
	err := ingress.Log(ctx, l.engine.Paths, func(r container.Request) {
		if r.Container == l.rec.Name && !r.Time.Before(l.rec.Created) && l.query.within(r.Time) {
			next(container.LogLine{Name: r.Container, Time: r.Time, Source: container.LogIngress, Message: requestWords(r), Request: &r})
		}
	}, live)
	if !l.query.Follow {
		told()
	}
	return err
}

// requestWords are a request for people.
func requestWords(r container.Request) string {
	words := fmt.Sprintf("%s %s %s://%s%s %d, %d bytes, %.3f s", r.Client, r.Method, r.Scheme, r.Host, r.URI, r.Status, r.Bytes, r.Seconds)
	if r.Error != "" {
		words += ": " + r.Error
	}
	return words
}
