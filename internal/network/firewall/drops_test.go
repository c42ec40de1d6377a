package firewall

import (
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// inNetwork runs f in a network namespace of its own, whose thread ends with
// it.
func inNetwork(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is thrown away
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestForwarding makes chains in the kernel and has them found.
func TestForwarding(t *testing.T) {
	t.Parallel()
	drop, accept := nftables.ChainPolicyDrop, nftables.ChainPolicyAccept
	for name, c := range map[string]struct {
		hook   *nftables.ChainHook
		policy *nftables.ChainPolicy
		rule   []expr.Any
		want   []Drop
	}{
		"policy": {nftables.ChainHookForward, &drop, nil, []Drop{{"nftables inet t c", "its policy is drop", nil}}},
		"accept": {nftables.ChainHookForward, &accept, nil, nil},
		"input":  {nftables.ChainHookInput, &drop, nil, nil},
		"last rule": {nftables.ChainHookForward, &accept, []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}},
			[]Drop{{"nftables inet t c", "its last rule refuses everything", nil}}},
		"reject": {nftables.ChainHookForward, &accept, []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}},
			[]Drop{{"nftables inet t c", "its last rule refuses everything", nil}}},
		"condition": {nftables.ChainHookForward, &accept,
			[]expr.Any{&expr.Meta{Key: expr.MetaKeyIIF, Register: 1}, &expr.Cmp{Register: 1, Data: []byte{9, 0, 0, 0}}, &expr.Verdict{Kind: expr.VerdictDrop}}, nil},
	} {
		inNetwork(t, func() {
			conn, err := nftables.New()
			if err != nil {
				t.Error(err)
				return
			}
			table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "t"})
			chain := conn.AddChain(&nftables.Chain{Name: "c", Table: table, Type: nftables.ChainTypeFilter, Hooknum: c.hook, Priority: nftables.ChainPriorityFilter, Policy: c.policy})
			if c.rule != nil {
				conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: c.rule})
			}
			if err := conn.Flush(); err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if got, err := Forwarding(); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %v, not %v (%v)", name, got, c.want, err)
			}
		})
	}
}

func TestForwardingNone(t *testing.T) {
	t.Parallel()
	inNetwork(t, func() {
		if got, err := Forwarding(); err != nil || len(got) > 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]string{
		"-P FORWARD DROP\n":                                                                                             "its policy is drop",
		"-P FORWARD ACCEPT\n":                                                                                           "",
		"-P INPUT DROP\n-P FORWARD ACCEPT\n":                                                                            "",
		"-P FORWARD ACCEPT\n-A FORWARD -j DROP\n":                                                                       "its last rule refuses everything",
		"-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with x":                                                       "its last rule refuses everything",
		"-P FORWARD ACCEPT\n-A FORWARD -i eth0 -j DROP\n":                                                               "",
		"-P FORWARD ACCEPT\n-A FORWARD -j DOCKER-USER\n":                                                                "",
		"-P FORWARD DROP\n-A FORWARD -i berth0 -j ACCEPT\n":                                                             "",
		"-P FORWARD DROP\n-A DOCKER-USER -i berth0 -j ACCEPT\n":                                                         "",
		"-P FORWARD DROP\n-A FORWARD -i berth0 -p tcp -j ACCEPT\n":                                                      "its policy is drop",
		"-P FORWARD DROP\n-A FORWARD -i berth01 -j ACCEPT\n":                                                            "its policy is drop",
		"-P FORWARD ACCEPT\n-A FORWARD -j fw\n-A fw -i lo -j ACCEPT\n-A fw -j fw-refuse\n-A fw-refuse -j DROP\n":        "its last rule refuses everything",
		"-P FORWARD ACCEPT\n-A FORWARD -j fw\n-A fw -i berth0 -j fw-accept\n-A fw -j DROP\n-A fw-accept -j ACCEPT\n":    "",
		"-P FORWARD ACCEPT\n-A FORWARD -j fw\n-A fw -i berth0 -j fw-some\n-A fw -j DROP\n-A fw-some -p tcp -j ACCEPT\n": "its last rule refuses everything",
		"": "",
	} {
		if got, missing := refusal(rules, "FORWARD", []string{"berth0"}); got != want || (len(missing) > 0) != (want != "") {
			t.Errorf("%q: %q, not %q, for %q", rules, got, want, missing)
		}
	}
}

// TestLetThrough has tables of others that drop all but what comes from some
// interfaces, in the ways in which they are written.
func TestLetThrough(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]int{
		"": 2,
		`add rule ip f c iifname "berth0" accept`:                                                                                                     1,
		`add rule ip f user iifname "berth0" counter accept`:                                                                                          2, // nobody jumps there
		`add rule ip f c jump user; add rule ip f user iifname "berth0" counter accept`:                                                               1,
		`add rule ip f user accept; add rule ip f c iifname "berth0" goto user`:                                                                       1,
		`add rule ip f user tcp dport 1 accept; add rule ip f c iifname "berth0" goto user; add rule ip f c accept`:                                   2,
		`add rule ip f user return; add rule ip f c jump user; add rule ip f c iifname { "lo", "berth0" } accept`:                                     1,
		`add rule ip f c iifname { "lo", "berth1" } accept`:                                                                                           2,
		`add rule ip f user fib daddr type local return; add rule ip f user drop; add rule ip f c jump user; add rule ip f c iifname "berth0" accept`: 1,
		`add rule ip f c iifname "berth0" reject; add rule ip f c accept`:                                                                             2,
		`add chain ip f other; add rule ip f c jump user; add rule ip f user jump other; add rule ip f other ip ttl 1 drop`:                           2,
		`add rule ip f c iifname "be*" accept`:                                                                                                        1,
		`add rule ip f c iifname "berth01" accept`:                                                                                                    2,
		`add rule ip f c iifname != "berth0" accept`:                                                                                                  2,
		`add rule ip f c iifname "berth0" tcp dport 1 accept`:                                                                                         2,
		`add rule ip f c oifname "berth0" accept`:                                                                                                     2,
		`add rule ip f c iifname "berth0" drop`:                                                                                                       2,
		`add rule inet g d iifname "berth0" accept`:                                                                                                   1,
	} {
		inNetwork(t, func() {
			script := `add table ip f; add chain ip f c { type filter hook input priority 0; policy drop; }; add chain ip f user;
				add table inet g; add chain inet g d { type filter hook input priority 0; policy drop; };
				add chain inet g e { type filter hook forward priority 0; policy accept; }` + "\n" + rules
			if out, err := exec.Command("nft", script).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", script, err, out)
				return
			}
			if got, err := Incoming("berth0"); err != nil || len(got) != want {
				t.Errorf("%q: %v, not %d (%v)", rules, got, want, err)
			}
			if got, err := Forwarding("berth0"); err != nil || len(got) > 0 {
				t.Errorf("%q: forwarding: %v, %v", rules, got, err)
			}
		})
	}
}

// TestAlways has rules as iptables makes them.
func TestAlways(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule []expr.Any
		want bool
	}{
		{[]expr.Any{&expr.Counter{}, &expr.Target{Name: "REJECT"}}, true},
		{[]expr.Any{&expr.Match{Name: "conntrack"}, &expr.Counter{}, &expr.Target{Name: "REJECT"}}, false},
		{[]expr.Any{&expr.Counter{}, &expr.Target{Name: "LOG"}}, false},
		{[]expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}}, false},
	} {
		if got := refused(always(&nftables.Rule{Exprs: c.rule})); got != c.want {
			t.Errorf("%v: refuses %v, not %v", c.rule, got, c.want)
		}
	}
}

// TestNixOS has the firewall that NixOS makes by iptables, whose chain lets through
// what no rule refuses, but leads to one that refuses the rest.
func TestNixOS(t *testing.T) {
	t.Parallel()
	const rules = `add table ip filter
add chain ip filter nixos-fw-accept; add rule ip filter nixos-fw-accept counter accept
add chain ip filter nixos-fw-refuse; add rule ip filter nixos-fw-refuse counter drop
add chain ip filter nixos-fw-log-refuse; add rule ip filter nixos-fw-log-refuse tcp flags syn / fin,syn,rst,ack counter log prefix "refused connection: " level info
add rule ip filter nixos-fw-log-refuse pkttype != unicast counter jump nixos-fw-refuse; add rule ip filter nixos-fw-log-refuse counter jump nixos-fw-refuse
add chain ip filter nixos-fw; add rule ip filter nixos-fw iifname "lo" counter jump nixos-fw-accept
add rule ip filter nixos-fw ct state related,established counter jump nixos-fw-accept; add rule ip filter nixos-fw tcp dport 22 counter jump nixos-fw-accept
add rule ip filter nixos-fw counter jump nixos-fw-log-refuse
add chain ip filter INPUT { type filter hook input priority 0; policy accept; }; add rule ip filter INPUT counter jump nixos-fw
`
	inNetwork(t, func() {
		for _, step := range []struct {
			script string
			want   []Drop
		}{
			{rules, []Drop{{"nftables ip filter INPUT", "a chain that it jumps to refuses everything else", []string{"berth0"}}}},
			{`insert rule ip filter nixos-fw iifname "berth0" counter jump nixos-fw-accept`, nil}, // trustedInterfaces
		} {
			if out, err := exec.Command("nft", step.script).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
				return
			}
			if got, err := Incoming("berth0"); err != nil || !reflect.DeepEqual(got, step.want) {
				t.Errorf("%v, not %v (%v)", got, step.want, err)
			}
		}
	})
}

// TestHere asks the machine that this test runs on, as doctor does.
func TestHere(t *testing.T) {
	t.Parallel()
	_, err := Forwarding()
	_, missing := exec.LookPath("iptables-legacy")
	if _, old := os.Stat("/proc/net/ip_tables_names"); err != nil && (missing == nil || old != nil) {
		t.Error(err)
	}
}
