package cli

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the messages in the scripts and the manual anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berth": func() {
		os.Exit(Main(context.Background(), os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
	}, "nixos-container": func() {
		os.Exit(NixosContainer(context.Background(), os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr}))
	}})
}

// TestInvalid holds the exact message for each kind of mistake in a
// declaration.
func TestInvalid(t *testing.T) { runScripts(t, "testdata/invalid") }

// TestScript holds what the command line says where no guest is needed.
func TestScript(t *testing.T) { runScripts(t, "testdata/script") }

func runScripts(t *testing.T, dir string) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: dir, UpdateScripts: *update, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("BERTH_ROOT", e.WorkDir)
			return nil
		},
	})
}
