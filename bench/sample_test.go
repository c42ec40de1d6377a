package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		in   samples
		want float64
	}{
		{"none", nil, 0},
		{"one", samples{7}, 7},
		{"odd", samples{9, 1, 5}, 5},
		{"even", samples{9, 1, 5, 4}, 4.5},
		{"outlier", samples{1, 2, 3, 1e9}, 2.5},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.in.median(); got != test.want {
				t.Errorf("median(%v) = %v, want %v", test.in, got, test.want)
			}
		})
	}
}

// The first round is dropped, and each round begins with another trial.
func TestInterleave(t *testing.T) {
	t.Parallel()
	order := ""
	trialOf := func(name string) trial {
		calls := 0.0
		return func(context.Context) ([]float64, error) {
			order += name
			calls++
			return []float64{calls, -calls}, nil
		}
	}
	got, err := interleave(t.Context(), 3, trialOf("a"), trialOf("b"), trialOf("c"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "abcbcacababc"; order != want {
		t.Errorf("order is %s, want %s", order, want)
	}
	each := []samples{{2, 3, 4}, {-2, -3, -4}}
	if diff := cmp.Diff([][]samples{each, each, each}, got); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

func TestInterleaveEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	calls := 0
	_, err := interleave(t.Context(), 3,
		func(context.Context) ([]float64, error) { calls++; return nil, wrong },
		func(context.Context) ([]float64, error) { calls++; return nil, nil })
	if !errors.Is(err, wrong) || calls != 1 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}
