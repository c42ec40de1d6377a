//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// example copies a directory of examples to where commands work, with a Debian
// that has SSH.
func (l *lan) example(name string) {
	l.Helper()
	must(l, command(l.Context(), "cp", "-r", filepath.Join(either("BERTH_TEST_EXAMPLES", "../../examples"), name)+"/.", l.work))
	l.file("berth.yaml", strings.ReplaceAll(l.read(filepath.Join(l.work, "berth.yaml")), "image: debian:bookworm", "image: tar:"+initImage("ssh")))
}

// TestExampleBridge: two containers with fixed addresses reach each other by
// address and by name, and by SSH.
func TestExampleBridge(t *testing.T) {
	l := newLan(t)
	l.example("bridge")
	l.ownImages().run("up")
	for name, other := range map[string]string{"container1": "10.100.0.20 container2", "container2": "10.100.0.10 container1"} {
		for _, to := range append(strings.Fields(other), strings.Fields(other)[1]+".containers") {
			l.has(l.in(name, "ping -c 1 -W 2 "+to), " 0% packet loss")
		}
	}
	l.in("container1", "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
	l.in("container2", "mkdir -p /root/.ssh; echo '"+l.in("container1", "cat /root/.ssh/id_ed25519.pub")+"' >/root/.ssh/authorized_keys; systemctl is-active --wait ssh")
	is(t, "SSH by name", l.in("container1", "ssh -4 -o StrictHostKeyChecking=no -o BatchMode=yes container2 'echo $SSH_CONNECTION' | cut -d' ' -f1,3"), "10.100.0.10 10.100.0.20")
	l.has(l.host("timeout 5 bash -c 'read -r x </dev/tcp/10.100.0.10/22; echo $x'"), "SSH-2.0-OpenSSH")
	l.file("berth.yaml", "containers: {}\n")
	l.run("apply", "-f", "berth.yaml", "--prune", "--yes")
}
