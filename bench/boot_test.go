package main

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"
)

func TestProcessesOf(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pids, err := processesOf(own)
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("the processes of %s are %v, %v; this one is %d", own, pids, err, os.Getpid())
	}
}

// TestTableJSON takes a table the way it goes out of a nested host.
func TestTableJSON(t *testing.T) {
	t.Parallel()
	want := table{
		Facts:  []fact{{"system", "Debian"}},
		Rows:   []row{{What: "a", Unit: "MB", Berth: samples{1, 2}, Peer: samples{3}, Ratio: 1, Absolute: 2, Nothing: true, Notes: []string{"why"}}},
		Failed: []string{"boot"},
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got table
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s became %+v, %v", b, got, err)
	}
}
