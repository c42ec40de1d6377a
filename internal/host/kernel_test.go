package host

import (
	"slices"
	"testing"
)

func TestLacks(t *testing.T) {
	t.Parallel()
	for release, want := range map[string][]string{
		"5.10.0": {MountMapping, LayerMapping}, "5.15.0": {LayerMapping}, "5.18": {LayerMapping}, "5.19.1": nil, "6.1.0-18-amd64": nil,
	} {
		p := Probe{Release: func() (string, error) { return release, nil }}
		missing, err := p.Lacks()
		var got []string
		for _, f := range missing {
			got = append(got, f.Name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s lacks %q, not %q (%v)", release, got, want, err)
		}
	}
}
