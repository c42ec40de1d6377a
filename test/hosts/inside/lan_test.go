//go:build inside

package inside

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-containers/berth/internal/network/networktest"
)

// The addresses of the host on its card, of a machine beyond it, and of the
// host itself, in both families.
var (
	hosts     = [2]string{"198.51.100.1", "2001:db8:1::1"}
	outsides  = [2]string{"198.51.100.2", "2001:db8:1::2"}
	loopbacks = [2]string{"127.0.0.1", "::1"}
)

// lan is the network of the host, whose card uplink leads to a machine that
// has a name server, and knows of no guests.
type lan struct {
	*testing.T
	home, outside *networktest.Place
	guests        map[string]*networktest.Place // that run
	bare          string                        // what the network was like without them
	rules         string                        // what lists the rules that guests could leave
}

// setUp is what sets up the card where nothing manages it.
const setUp = "ip addr replace 198.51.100.1/24 dev uplink; ip addr replace 2001:db8:1::1/64 dev uplink nodad; ip link set uplink up; ip route replace default via 198.51.100.2"

// newLan makes the network. card is a script that sets up the card, where it
// does not itself.
func newLan(t *testing.T, card string) *lan {
	t.Helper()
	l := &lan{T: t, home: &networktest.Place{TB: t, Label: "the host"}, outside: networktest.NewPlace(t, "outside"), rules: `nft list ruleset | sed -E 's/packets [0-9]+ bytes [0-9]+//'`}
	t.Cleanup(func() { l.sh("ip link del uplink 2>/dev/null || true") })
	l.sh(fmt.Sprintf("ip link add uplink type veth peer name wan netns /proc/%d/fd/%d", os.Getpid(), l.outside.Netns.Fd()))
	l.beyond("ip link set lo up; ip addr add 198.51.100.2/24 dev wan; ip addr add 2001:db8:1::2/64 dev wan nodad; ip link set wan up")
	l.sh("rm -f /etc/resolv.conf; echo nameserver 198.51.100.2 >/etc/resolv.conf")
	l.outside.Serve(7000)
	dns := exec.Command("nsenter", l.enter("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--interface=wan",
		"--pid-file=", "--address=/outside.test/198.51.100.2", "--address=/outside.test/2001:db8:1::2")...)
	must(t, dns.Start())
	t.Cleanup(func() { _ = dns.Process.Kill(); _ = dns.Wait() })
	l.sh(card)
	l.sh("until ip -6 addr show dev uplink | grep -q 2001:db8:1::1/64; do sleep 0.1; done; until ip addr show dev uplink | grep -q 198.51.100.1/24; do sleep 0.1; done; while ip addr show | grep -q tentative; do sleep 0.1; done; udevadm settle")
	return l
}

func (l *lan) enter(args ...string) []string {
	return append([]string{fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), l.outside.Netns.Fd())}, args...)
}

// sh runs a script on the host.
func (l *lan) sh(script string) string {
	l.Helper()
	return run(l.T, "sh", "-euc", script)
}

// beyond runs a script on the machine outside.
func (l *lan) beyond(script string) string {
	l.Helper()
	return run(l.T, append([]string{"nsenter"}, l.enter("sh", "-euc", script)...)...)
}

// links is all that guests could leave on the network of the host.
func (l *lan) links() string {
	l.Helper()
	return l.sh(`(ip -o link | sed -E 's/^[0-9]*: ([^ ]*): <.*[<,](UP)?[,>].*(link\/.*)/\1 \2 \3/'
		ip -o addr show scope global | sed -E 's/^[0-9]*://; s/ valid_lft.*//'; (ip -4 route show table all; ip -6 route show table all) | grep -vE '^(multicast|anycast|fe80|local fe80)' | sed 's/ linkdown//') | sort
		ip rule; ip -6 rule; ` + l.rules + `; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
		cat /etc/hosts; find /run/systemd/network /run/udev/rules.d -type f 2>/dev/null || true`)
}

// start makes guests, and takes down what the network was without them: two on
// the default network, and one opposite the host.
func (l *lan) start() {
	l.Helper()
	l.bare = l.links()
	l.Cleanup(func() { _, _ = try(l.T, "berth", "destroy", "--all", "--yes") })
	run(l.T, "berth", "create", "web", "--image", image, "privateNetwork=true",
		"forwardPorts=[{hostPort: 8080, containerPort: 80}, {protocol: udp, hostPort: 8080, containerPort: 80}]")
	run(l.T, "berth", "create", "db", "--image", image, "privateNetwork=true")
	run(l.T, "berth", "create", "pair", "--image", image, "privateNetwork=true", "hostAddress=10.7.0.1", "localAddress=10.7.0.2")
	l.guests = map[string]*networktest.Place{}
	l.restart("web", "db", "pair")
}

// restart starts guests, again if they run.
func (l *lan) restart(names ...string) {
	l.Helper()
	run(l.T, append([]string{"berth", "restart"}, names...)...)
	l.find(names...)
}

// find takes guests as they run now.
func (l *lan) find(names ...string) {
	l.Helper()
	for _, name := range names {
		l.guests[name] = networktest.PlaceOf(l, name, statusOf(l.T, name).Leader)
	}
	if web := l.guests["web"]; web != nil {
		web.Serve(80)
	}
}

// addresses are those of a guest, in both families.
func (l *lan) addresses(name string) (all [2]string) {
	l.Helper()
	b, err := os.ReadFile("/run/berth/leases/" + name + ".json")
	must(l.T, err)
	var lease struct {
		Links []struct{ Addresses []string }
	}
	must(l.T, json.Unmarshal(b, &lease))
	for _, a := range lease.Links[0].Addresses {
		a, _, _ = strings.Cut(a, "/")
		all[family(a)] = a
	}
	return all
}

func family(address string) int {
	if strings.Contains(address, ":") {
		return 1
	}
	return 0
}

// broken says what does not work between guests, the host and outside.
func (l *lan) broken() []string {
	l.Helper()
	var out []string
	asks := func(who *networktest.Place, address string, port int, as string) {
		for _, proto := range []string{"tcp", "udp"} {
			if seen, err := who.Ask(proto, address, port); err != nil || seen != as {
				out = append(out, fmt.Sprintf("%s asks %s port %d by %s: seen at %q, not at %s, %v", who.Label, address, port, proto, seen, as, err))
			}
		}
	}
	finds := func(who string, want string, words ...string) {
		if got, err := try(l.T, words...); err != nil || !strings.Contains(got, want) {
			out = append(out, fmt.Sprintf("%s: %q says %q, not %s, %v", who, words, got, want, err))
		}
	}
	web, db := l.addresses("web"), l.addresses("db")
	for f, database := range []string{"ahostsv4", "ahostsv6"} {
		asks(l.guests["web"], outsides[f], 7000, hosts[f])
		asks(l.guests["db"], web[f], 80, db[f])
		asks(l.outside, hosts[f], 8080, outsides[f])
		asks(l.home, hosts[f], 8080, hosts[f])
		if _, err := l.home.Ask("tcp", loopbacks[f], 8080); err != nil {
			out = append(out, fmt.Sprintf("the host asks %s: %v", loopbacks[f], err))
		}
		finds("a guest", outsides[f], "berth", "exec", "web", "--", "getent", database, "outside.test")
		finds("a guest", db[f], "berth", "exec", "web", "--", "getent", database, "db")
		finds("the host", web[f], "getent", database, "web.containers")
		finds("the host", outsides[f], "getent", database, "outside.test")
	}
	asks(l.guests["pair"], outsides[0], 7000, hosts[0])
	return out
}

// works asserts that everything comes to work, and that berth's links are as
// berth has set them up.
func (l *lan) works(when string) {
	l.Helper()
	if broken := l.soon(); broken != nil {
		rules, _ := try(l.T, "sh", "-c", "berth doctor; ip -br addr; ip route; journalctl --no-pager -n 15")
		l.Errorf("%s:\n%s\n%s", when, strings.Join(broken, "\n"), rules)
	}
	subnet := l.sh("ip -o addr show dev berth0 scope global | awk '{print $4}' | sort | tr '\\n' ' '")
	if n := len(strings.Fields(subnet)); n != 2 {
		l.Errorf("%s: berth0 has the addresses %s", when, subnet)
	}
	if got := l.sh("for i in ve-web ve-db ve-pair; do ip -o -4 addr show dev $i | awk '{print $4}'; ip -o -6 addr show dev $i scope global | awk '{print $4}'; done; (ip -o link show ve-web; ip -o link show ve-db) | grep -o 'master [^ ]*' || true"); got != "10.7.0.1/32\nmaster berth0\nmaster berth0" {
		l.Errorf("%s: the links of guests have become\n%s", when, got)
	}
}

// soon is what does not work after a while either.
func (l *lan) soon() (broken []string) {
	l.Helper()
	for end := time.Now().Add(8 * time.Second); ; {
		if broken = l.broken(); broken == nil || time.Now().After(end) {
			return broken
		}
	}
}

// gone destroys the guests, and asserts that nothing is left of them.
func (l *lan) gone() {
	l.Helper()
	run(l.T, "berth", "destroy", "--all", "--yes")
	var now, units string
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		now, units = l.links(), run(l.T, "systemctl", "list-units", "--all", "--plain", "--no-legend", "berth*")
		if now == l.bare && units == "" || time.Now().After(end) {
			break
		}
	}
	if now != l.bare {
		l.Errorf("it was\n%s\n--- and is\n%s", l.bare, now)
	}
	if units != "" {
		l.Errorf("units are left: %s", units)
	}
}

// serving has a service run for the time of the test.
func serving(t *testing.T, units ...string) {
	t.Helper()
	t.Cleanup(func() {
		_, _ = try(t, append([]string{"systemctl", "stop"}, units...)...)
		_, _ = try(t, append([]string{"systemctl", "reset-failed"}, units...)...)
	})
	run(t, append([]string{"systemctl", "start"}, units...)...)
}

// file writes a file of the host, which goes with the test.
func file(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), mode))
	t.Cleanup(func() { _ = os.Remove(path) })
}
