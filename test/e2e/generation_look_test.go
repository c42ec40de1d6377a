//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestGenerationLook: who only looks at a container does not wait until the
// guest of an update comes up whose command was killed, and is told of it.
func TestGenerationLook(t *testing.T) {
	t.Parallel()
	g := newGenerational(t, "one", "timeoutStartSec=10min")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	update := g.command(ctx, "set", "web", "system="+g.s.Systems["stuck"], "environment.A=b", "--yes")
	must(t, update.Start())
	g.until("the guest starts with its new system", func() bool {
		text, _ := os.ReadFile(filepath.Join(g.root, "run/berth/containers/web/launched.json"))
		return strings.Contains(string(text), g.s.Systems["stuck"])
	})
	must(t, update.Process.Signal(syscall.SIGKILL))
	_ = update.Wait()

	for _, args := range [][]string{{"ls"}, {"status", "web"}, {"why", "web"}} {
		r := g.run(args...)
		g.has(r.err, "an update from generation 1 to 2 was interrupted", "not at its end")
		g.has(r.out, "starting")
	}
	g.has(g.run("terminate", "web").err, "it starts with generation 2")
	g.run("rollback", "web", "--yes")
	g.run("start", "web")
	is(t, "system", g.guest().system, "one")
}
