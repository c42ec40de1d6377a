package host

import "testing"

// TestParts tries them on this machine, where berth runs.
func TestParts(t *testing.T) {
	t.Parallel()
	for _, p := range Parts() {
		if err := p.Try(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if p.Remedy == "" {
			t.Errorf("%s has no remedy", p.Name)
		}
	}
}
