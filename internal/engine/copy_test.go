package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/transfer"
)

// TestCopySaysWhatFailed and not what followed from it at the other end.
func TestCopySaysWhatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := Open(state.Paths{Root: filepath.Join(dir, "root")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big") // more than a pipe takes
	if err := os.WriteFile(big, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		err := e.Copy(t.Context(), Place{Path: big}, Place{Container: "nobody", Path: "/root"}, transfer.Options{})
		if !errors.Is(err, container.ErrNotFound) {
			t.Fatalf("to a container that there is not: %v", err)
		}
	}
	err = e.Copy(t.Context(), Place{Path: dir + "/nothing"}, Place{Path: dir + "/to"}, transfer.Options{})
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "read "+dir+"/nothing: ") {
		t.Errorf("of a file that there is not: %v", err)
	}
}
