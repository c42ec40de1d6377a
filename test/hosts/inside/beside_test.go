//go:build inside

package inside

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBesideNothing: what the other tests want works where nothing manages the
// network.
func TestBesideNothing(t *testing.T) {
	l := newLan(t, setUp)
	l.start()
	l.works("on a plain host")
	l.gone()
}

// leftAlone starts the guests beside a manager of networks and has that look
// at the machine anew in some ways. It fails the test where the manager then has
// one of berth's links: has is asked about each line of the list.
func (l *lan) leftAlone(manager, online, list string, has func(line string) bool, ways ...string) {
	l.Helper()
	check := func(when string) {
		l.Helper()
		l.works(when)
		for line := range strings.Lines(run(l.T, strings.Fields(list)...)) {
			if has(line) {
				l.Errorf("%s: %s has %s", when, manager, line)
			}
		}
	}
	l.start()
	check("started beside " + manager)
	for _, how := range ways {
		l.sh(how)
		l.sh(online)
		check("after " + how)
	}
	l.restart("web", "pair")
	l.works("after the guests were restarted")
	l.gone()
}

// TestBesideNetworkd: systemd-networkd leaves berth's links alone, also where
// it is told to take all there are, when it is started, restarted and reloaded.
func TestBesideNetworkd(t *testing.T) {
	file(t, "/etc/systemd/network/uplink.network", "[Match]\nName=uplink\n[Network]\nAddress=198.51.100.1/24\nAddress=2001:db8:1::1/64\nGateway=198.51.100.2\nIPv6AcceptRA=no\n", 0o644)
	file(t, "/etc/systemd/network/05-all.network", "[Match]\nName=!uplink lo\n[Network]\nDHCP=yes\nAddress=10.99.0.1/24\n", 0o644)
	serving(t, "systemd-networkd")
	const online = "/usr/lib/systemd/systemd-networkd-wait-online --interface=uplink --timeout=20"
	newLan(t, online).leftAlone("systemd-networkd", online, "networkctl list --no-legend", func(line string) bool {
		f := strings.Fields(line)
		return len(f) > 4 && (strings.HasPrefix(f[1], "ve-") || f[1] == "berth0") && f[4] != "unmanaged"
	}, "networkctl reload", "systemctl restart systemd-networkd", "systemctl stop systemd-networkd; systemctl start systemd-networkd", "udevadm trigger -s net -c add; udevadm settle")
}

// TestBesideNetworkManager: NetworkManager leaves berth's links alone, when it is
// started, restarted and reloaded.
func TestBesideNetworkManager(t *testing.T) {
	file(t, "/etc/udev/rules.d/90-uplink.rules", `ACTION!="remove", SUBSYSTEM=="net", KERNEL=="uplink", ENV{NM_UNMANAGED}="0"`+"\n", 0o644)
	file(t, "/etc/NetworkManager/system-connections/uplink.nmconnection", "[connection]\nid=uplink\ntype=ethernet\ninterface-name=uplink\n"+
		"[ipv4]\nmethod=manual\naddress1=198.51.100.1/24,198.51.100.2\ndns=198.51.100.2;\n[ipv6]\nmethod=manual\naddress1=2001:db8:1::1/64\n", 0o600)
	run(t, "udevadm", "control", "--reload")
	serving(t, "NetworkManager")
	const online = "nm-online -t 20 -q"
	newLan(t, online+"; ! test -L /etc/resolv.conf").leftAlone("NetworkManager", online, "nmcli -t -f DEVICE,STATE device", func(line string) bool {
		name, state, _ := strings.Cut(strings.TrimSpace(line), ":")
		return (strings.HasPrefix(name, "ve-") || name == "berth0") && state != "unmanaged"
	}, "nmcli general reload", "systemctl restart NetworkManager", "nmcli networking off; nmcli networking on", "udevadm trigger -s net -c add; udevadm settle")
}

// TestBesideTakenOver: doctor sees managers that are told to take all there is,
// whatever berth says, and what it says helps against that.
func TestBesideTakenOver(t *testing.T) {
	for _, m := range []struct{ service, file, text string }{
		{"NetworkManager", "/etc/NetworkManager/conf.d/90-all.conf", "[device-all]\nmatch-device=*\nmanaged=1\n"},
		{"systemd-networkd", "/etc/systemd/network/00-all.network", "[Match]\nName=!uplink lo\n[Network]\nDHCP=yes\n"},
	} {
		t.Run(m.service, func(t *testing.T) {
			l := newLan(t, setUp)
			file(t, m.file, m.text, 0o644)
			file(t, "/etc/NetworkManager/conf.d/99-unmanaged.conf", "[keyfile]\nunmanaged-devices=interface-name:other0\n", 0o644) // which stays in force
			serving(t, m.service)
			l.start()
			var text, remedy string
			taken := func() bool {
				var all []struct{ Check, Severity, Text, Remedy string }
				must(t, json.Unmarshal([]byte(run(t, "berth", "doctor", "--json")), &all))
				for _, f := range all {
					if f.Check == "network managers" && f.Severity != "ok" {
						text, remedy = f.Text, f.Remedy
						return true
					}
				}
				return false
			}
			until(t, "doctor sees that "+m.service+" has links of berth's", taken)
			has(t, text, m.service+" manages links of berth's", "berth0")
			t.Cleanup(func() { l.sh("rm -f /etc/systemd/network/0-berth.network /etc/NetworkManager/conf.d/zz-berth.conf") })
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(remedy, text, l.sh("nmcli device || true; NetworkManager --print-config; networkctl list"))
				}
			})
			l.sh(remedy)
			until(t, "doctor is content", func() bool { return !taken() })
			if strings.Contains(remedy, "berth restart") {
				l.find("web", "pair", "db")
			}
			l.restart("web", "pair", "db")
			l.works("after doctor's remedy")
			has(t, run(t, "NetworkManager", "--print-config"), "interface-name:other0")
		})
	}
}

// TestBesideLater: managers that come when guests run leave these alone.
func TestBesideLater(t *testing.T) {
	l := newLan(t, setUp)
	l.start()
	l.works("on a plain host")
	serving(t, "systemd-networkd")
	l.works("with systemd-networkd")
	run(t, "systemctl", "stop", "systemd-networkd")
	l.works("without systemd-networkd")
	serving(t, "NetworkManager")
	l.works("with NetworkManager")
	run(t, "systemctl", "stop", "NetworkManager")
	l.works("without NetworkManager")
	l.gone()
}

// TestBesideResolved: where the host asks systemd-resolved, it finds guests by
// that, and guests find what it finds; both when it is restarted.
func TestBesideResolved(t *testing.T) {
	file(t, "/etc/systemd/resolved.conf.d/upstream.conf", "[Resolve]\nDNS=198.51.100.2\nDNSSEC=no\n", 0o644)
	serving(t, "systemd-resolved")
	l := newLan(t, setUp+"; ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
	domains := run(t, "resolvectl", "domain")
	l.start()
	l.works("started beside systemd-resolved")
	has(t, run(t, "resolvectl", "query", "--legend=no", "db.containers"), l.addresses("db")[0], "berth0")
	for _, how := range []string{"systemctl restart systemd-resolved", "systemctl start systemd-networkd", "systemctl restart systemd-networkd; systemctl stop systemd-networkd.socket systemd-networkd"} {
		l.sh(how)
		l.works("after " + how)
		has(t, run(t, "resolvectl", "query", "--legend=no", "db.containers"), l.addresses("db")[0])
	}
	l.sh("systemctl stop systemd-resolved; rm /etc/resolv.conf; echo nameserver 198.51.100.2 >/etc/resolv.conf")
	l.works("without systemd-resolved")
	l.sh("systemctl start systemd-resolved; ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
	l.works("with it again")
	l.gone()
	if now := run(t, "resolvectl", "domain"); now != domains {
		t.Errorf("systemd-resolved knew of\n%s\nand knows of\n%s", domains, now)
	}
}

// firewalled goes through a firewall that drops what guests send and get: doctor
// says what lets it through, and that holds when the firewall is loaded anew.
func firewalled(l *lan, reloads ...string) {
	l.Helper()
	l.rules = "nft list tables | grep -w berth || true" // the others change by what is done here
	l.start()
	remedies := l.remedies()
	if len(remedies) == 0 {
		l.Error("doctor finds nothing that drops traffic")
	}
	for _, r := range remedies {
		l.Log(r)
		l.sh(r)
	}
	if again := l.remedies(); len(again) > 0 {
		l.Errorf("doctor says again: %q", again)
	}
	l.works("after doctor's remedies")
	for _, how := range reloads {
		l.sh(how)
		l.works("after " + how)
	}
	l.restart("web", "pair")
	l.works("after the guests were restarted")
}

// remedies are the commands that doctor says about firewalls.
func (l *lan) remedies() (out []string) {
	l.Helper()
	var all []struct{ Check, Severity, Remedy string }
	must(l.T, json.Unmarshal([]byte(run(l.T, "berth", "doctor", "--json")), &all))
	for _, f := range all {
		if f.Check != "firewall" || f.Severity == "ok" {
			continue
		}
		_, r, _ := strings.Cut(f.Remedy, "for others: ")
		for _, end := range []string{";", ", after each", ", and the same"} {
			r, _, _ = strings.Cut(r, end)
		}
		out = append(out, r)
	}
	return out
}

// TestBesideFirewalld: what firewalld drops, doctor finds and says how to let
// through, which lasts.
func TestBesideFirewalld(t *testing.T) {
	l := newLan(t, setUp)
	serving(t, "firewalld")
	t.Cleanup(func() { _ = os.RemoveAll("/etc/firewalld/zones") })
	firewalled(l, "firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl restart firewalld")
	l.gone()
}

// TestBesideUFW is the same for ufw.
func TestBesideUFW(t *testing.T) {
	l := newLan(t, setUp)
	l.sh("ufw --force enable")
	t.Cleanup(func() {
		l.sh("ufw --force disable; ufw --force reset; iptables -F; iptables -X; ip6tables -F; ip6tables -X; iptables -P INPUT ACCEPT; iptables -P FORWARD ACCEPT")
	})
	firewalled(l, "ufw reload", "ufw allow 22/tcp", "ufw --force disable", "ufw --force enable")
	l.gone()
}

// TestBesideDocker is the same for Docker, whose containers go on to have
// their ports.
func TestBesideDocker(t *testing.T) {
	l := newLan(t, setUp)
	l.sh("echo 0 >/proc/sys/net/ipv4/ip_forward") // Docker drops what others forward where it finds that off
	serving(t, "docker")
	t.Cleanup(func() { l.sh("iptables -F DOCKER-USER; ip link del docker0; echo 0 >/proc/sys/net/ipv4/ip_forward") })
	firewalled(l, "systemctl restart docker")
	l.gone()
}

// TestBesidePublished: a port that Docker publishes is refused by plan, whether
// its proxy listens there or not, and doctor sees one that comes later.
func TestBesidePublished(t *testing.T) {
	l := newLan(t, setUp)
	const rule = "PREROUTING -m addrtype --dst-type LOCAL -m comment --comment test -j DOCKER"
	l.sh("iptables -t nat -N DOCKER 2>/dev/null || true; iptables -t nat -A " + rule) // as Docker does
	t.Cleanup(func() { l.sh("iptables -t nat -D " + rule + "; iptables -t nat -F DOCKER") })
	publish := func(port string) {
		l.sh("iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport " + port + " -j DNAT --to-destination 172.17.0.2:80")
	}
	publish("8081")
	l.start()
	out, err := try(t, "berth", "set", "web", "forwardPorts=[{hostPort: 8081, containerPort: 80}]")
	has(t, out+fmt.Sprint(err), "tcp port 8081 of the host is led elsewhere by Docker")
	has(t, run(t, "berth", "doctor"), "ports: nobody else has those of guests that run")
	publish("8080")
	has(t, run(t, "berth", "doctor"), "web: forwardPorts: tcp port 8080 of the host is led elsewhere by Docker")
}

// TestBesideDHCP: guests on a bridge of the host's get their addresses, routes and
// resolvers from the server of DHCP there, whatever asks in them.
func TestBesideDHCP(t *testing.T) {
	for server, command := range map[string]string{
		"isc-dhcp-server": "touch /run/leases; exec dhcpd -f -cf /run/dhcpd.conf -lf /run/leases -pf /run/dhcpd.pid lan0",
		"dnsmasq":         "exec dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --port=0 --bind-interfaces --interface=lan0 --dhcp-range=10.9.0.100,10.9.0.200,1h --dhcp-option=3,10.9.0.1 --dhcp-option=6,10.9.0.1 --dhcp-leasefile=/run/leases",
	} {
		t.Run(server, func(t *testing.T) {
			l := newLan(t, setUp)
			file(t, "/run/dhcpd.conf", "default-lease-time 3600; subnet 10.9.0.0 netmask 255.255.255.0 { range 10.9.0.100 10.9.0.200; option routers 10.9.0.1; option domain-name-servers 10.9.0.1; }\n", 0o644)
			l.sh("rm -f /run/leases; ip link add lan0 type bridge; ip addr add 10.9.0.1/24 dev lan0; ip link set lan0 up")
			t.Cleanup(func() { l.sh("berth destroy --all --yes; ip link del lan0") })
			run(t, "systemd-run", "--quiet", "--unit=dhcp", "--collect", "sh", "-euc", command)
			t.Cleanup(func() { run(t, "systemctl", "stop", "dhcp") })
			bare := l.links()
			for name, prepare := range clients() {
				run(t, "berth", "create", name, "--image", withManagers(t), "--start", "privateNetwork=true", "hostBridge=lan0")
				run(t, "berth", "exec", name, "--", "sh", "-euc", "systemctl disable --quiet NetworkManager dhcpcd networking systemd-networkd 2>&1; "+prepare)
				run(t, "berth", "restart", name)
				until(t, name+" has an address of the server's", func() bool {
					out, _ := try(t, "berth", "exec", name, "--", "sh", "-c", "ip -4 addr show eth0; ip route; cat /etc/resolv.conf")
					named := strings.Contains(out, "nameserver 10.9.0.1") || name == "networkd" || name == "nobody" // which has no systemd-resolved to tell
					return strings.Contains(out, "inet 10.9.0.1") && strings.Contains(out, "default via 10.9.0.1") && named
				})
				run(t, "berth", "exec", name, "--", "timeout", "5", "bash", "-c", "echo >/dev/udp/10.9.0.1/9")
				run(t, "berth", "destroy", name, "--yes")
			}
			if now := l.links(); now != bare {
				t.Errorf("it was\n%s\n--- and is\n%s", bare, now)
			}
		})
	}
}

// clients have a guest ask for its address with what it has for that.
func clients() map[string]string {
	const interfaces = "printf 'auto eth0\niface eth0 inet dhcp\n' >/etc/network/interfaces; "
	return map[string]string{
		"networkd": "rm -f /etc/dhcpcd.conf; systemctl enable --quiet systemd-networkd",
		"nobody":   "rm -f /etc/dhcpcd.conf /etc/network/interfaces",
		"manager":  "systemctl enable --quiet NetworkManager",
		"dhcpcd":   "echo nodev >>/etc/dhcpcd.conf; systemctl enable --quiet dhcpcd", // it has no udev to wait for

		"ifupdown": interfaces + "systemctl enable --quiet networking",
	}
}

// withManagers is the image of guests that have them.
func withManagers(t *testing.T) string {
	t.Helper()
	all, err := filepath.Glob("/var/cache/berth-test/init-managers-*.tar")
	if err != nil || len(all) == 0 {
		t.Fatalf("there is no image of guests with managers: %v", err)
	}
	return "tar:" + all[len(all)-1]
}

// TestBesideNftables: rules that the service of nftables flushes come back.
func TestBesideNftables(t *testing.T) {
	l := newLan(t, setUp)
	serving(t, "nftables")
	l.start()
	l.works("started beside nftables.service")
	l.sh("systemctl restart nftables")
	l.works("after nftables.service was restarted")
	l.gone()
}
