package declare

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-containers/berth/container"
)

var update = flag.Bool("update", false, "write the golden files and the messages in the scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berth": plan})
}

// plan stands in for `berth plan -f FILE`: it
// reads, and prints what is wrong as the command does.
func plan() {
	_, err := Load(os.Args[3:]...)
	for _, one := range eachError(err) {
		fmt.Fprintf(os.Stderr, "berth: %v\n", one)
		var e *container.Error
		if errors.As(one, &e) && e.Hint != "" {
			fmt.Fprintf(os.Stderr, "hint: %s\n", e.Hint)
		}
	}
	os.Exit(int(container.CodeOf(err)))
}

func eachError(err error) []error {
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		return many.Unwrap()
	}
	return []error{err}
}

// TestScript holds the exact message for each kind of mistake.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update})
}
