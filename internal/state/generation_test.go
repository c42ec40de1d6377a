package state

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

func TestGenerations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if all, err := Generations(dir); len(all) > 0 || err != nil {
		t.Errorf("of nothing: %v, %v", all, err)
	}
	var want []Generation
	for _, number := range []int{1, 2, 9, 10} {
		g := Generation{Number: number, Created: time.Unix(int64(number), 0).UTC(), Spec: container.DefaultSpec()}
		must(t, WriteGeneration(dir, g))
		want = append(want, g)
	}
	want[1].Failed = "no"
	must(t, WriteGeneration(dir, want[1]))
	must(t, os.MkdirAll(GenerationDir(dir, 3), 0o700)) // half made
	all, err := Generations(dir)
	if diff := cmp.Diff(want, all); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for range 2 {
		must(t, RemoveGeneration(dir, 9))
	}
	if _, err := ReadGeneration(dir, 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed one: %v", err)
	}
	if all, err := Generations(dir); len(all) != 3 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	must(t, os.WriteFile(GenerationDir(dir, 10)+"/"+generationFile, []byte("{"), 0o600))
	if _, err := Generations(dir); err == nil {
		t.Error("a damaged one is taken")
	}
}
