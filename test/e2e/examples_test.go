//go:build e2e

package e2e

import (
	"fmt"
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

// TestExampleWasabi: three containers behind the host by their names, one of
// them also with ports of the host.
func TestExampleWasabi(t *testing.T) {
	l := newLan(t)
	l.example("wasabi")
	l.ownImages().run("up")
	const page = "<h1>It works!</h1>"
	get := l.web(l.run("ingress", "ca").out).get
	for _, name := range []string{"wasabi", "sambal", "tabasco"} {
		host := name + ".example.com/"
		eventually(t, l, host+" is answered", func() bool { return strings.Contains(get("https://"+host), page) })
		l.has(get("https://"+host), "HTTP/2.0 200")
		l.has(get("http://"+host), "308 https://"+host)
		l.has(l.out("logs", "--ingress", name), " GET https://"+host+" 200, ")
	}
	l.has(get("http://other.example.com/"), "404")
	for _, address := range []string{"127.0.0.1", "::1"} {
		ask := func(port int, question string) string {
			return l.host(fmt.Sprintf(`timeout 5 bash -c 'exec 3<>/dev/tcp/%s/%d; printf "%s" >&3; head -c 1000 <&3'`, address, port, question))
		}
		l.has(ask(8080, `GET / HTTP/1.0\r\n\r\n`), page)
		l.has(ask(2222, `nobody\r\n`), "SSH-2.0-OpenSSH")
	}
	l.has(l.out("port", "wasabi"), "2222/tcp", "8080/tcp")
	l.in("wasabi", "echo kept >/var/log/httpd/log")
	l.run("restart", "wasabi")
	is(t, "a log that outlives the guest", l.in("wasabi", "cat /var/log/httpd/log"), "kept")
	is(t, "the same on the host", strings.TrimSpace(l.read(filepath.Join(l.work, "wasabiData/log"))), "kept")
	for _, name := range []string{"wasabi", "sambal", "tabasco"} {
		l.has(l.run("apply", "-f", "berth.yaml").err, name+": nothing to do")
	}
	l.run("down")
	l.file("berth.yaml", "containers: {}\n")
	l.run("apply", "-f", "berth.yaml", "--prune", "--yes")
	l.awaitIngress()
}

// TestExampleNixos: the example in YAML, and that for nixpkgs, are the same
// guest.
func TestExampleNixos(t *testing.T) {
	b := newLan(t) // it has a port of the host
	b.builds()
	must(t, command(t.Context(), "cp", "-r", filepath.Join(either("BERTH_TEST_EXAMPLES", "../../examples"), "nixos")+"/.", b.work))
	b.run("apply", "-f", "berth.yaml", "--yes")
	plan := b.out("plan", "-f", "flake.nix", "--adopt", "--override-input", "nixpkgs", "path:"+b.work+"/nixpkgs")
	b.has(plan, "web: update, effect live\n", "    configFile: ", "    nixpkgs: ", "    system: unset -> "+b.in("web", "readlink /run/current-system")+" (live)\n")
	is(t, "differences", strings.Count(plan, "\n    "), 3)
}
