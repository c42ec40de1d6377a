//go:build e2e

package e2e

import "testing"

func TestLifecycle(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	r := b.run("create", "web", "--image", debian())
	is(t, "stdout of create", r.out, "")
	b.has(r.err, "web: created")
	b.state("web", "stopped")
	b.run("start", "web")
	b.state("web", "running")
	is(t, "whoami", b.in("web", "whoami"), "root")
}
