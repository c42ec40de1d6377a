package state

import (
	"testing"
	"time"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if f, err := ReadFailure(dir); f != nil || err != nil {
		t.Errorf("before one: %v, %v", f, err)
	}
	want := Failure{Since: time.Unix(1_700_000_000, 0).UTC(), Reason: "no init", TimedOut: true, Restarts: 2}
	for range 2 {
		if err := WriteFailure(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := ReadFailure(dir); err != nil || *f != want {
		t.Errorf("read %v, %v", f, err)
	}
	for range 2 {
		if err := RemoveFailure(dir); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := ReadFailure(dir); f != nil || err != nil {
		t.Errorf("after it: %v, %v", f, err)
	}
}
