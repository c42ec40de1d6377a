package main

import (
	"context"
	"slices"
	"time"
)

// samples are measured values in one unit, milliseconds or megabytes.
type samples []float64

func (s samples) median() float64 {
	if len(s) == 0 {
		return 0
	}
	t := slices.Sorted(slices.Values(s))
	middle := len(t) / 2
	if len(t)%2 == 1 {
		return t[middle]
	}
	return (t[middle-1] + t[middle]) / 2
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// trial measures once; it may give several values of one run, such as the
// times of a start and of the stop that follows.
type trial func(context.Context) ([]float64, error)

// interleave runs the trials in turn, once to warm up and then n times, each
// round beginning with another one. The result has for each trial, and each
// value it gives, n samples.
func interleave(ctx context.Context, n int, trials ...trial) ([][]samples, error) {
	out := make([][]samples, len(trials))
	for round := range n + 1 {
		for i := range trials {
			i = (i + round) % len(trials)
			values, err := trials[i](ctx)
			if err != nil {
				return nil, err
			}
			if round == 0 {
				out[i] = make([]samples, len(values))
				continue
			}
			for k, v := range values {
				out[i][k] = append(out[i][k], v)
			}
		}
	}
	return out, nil
}
