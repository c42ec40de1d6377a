package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// alike are the tests of the suite that prove the same on each host with
// systemd: what they are about berth does itself, such as building with Nix,
// and the host's systemd keeps guests for it as it does in all other tests.
// This machine has all of them, and each is on one of the other hosts too; see
// docs/adr/0032. A test that is not in here runs on every host. The slowest
// come first, so that hosts get about as much to do.
var alike = []string{
	"TestUpdates/flake", "TestUpdates/config", "TestUpdates/cache", "TestUpdates/path",
	"TestPorts", "TestNamesKilled", "TestNetworkLive", "TestGuestManagersOfDebian", "TestNixInGuestOwn",
	"TestBook", "TestWorkshop", "TestUnprivileged", "TestOwnStore", "TestBackup",
	"TestIngress", "TestIngressACME", "TestExampleWasabi", "TestExampleBridge", "TestExampleNixos", "TestGuestManagers",
	"TestGenerationHealth", "TestGenerationRestart", "TestGenerationPending", "TestGenerationKept", "TestGenerationHostStore",
	"TestGenerationFromCache", "TestGenerationStopped", "TestGenerationImages",
	"TestSystemCached", "TestSystemKinds", "TestSystemChanges", "TestSystemKept", "TestSystemRoot", "TestSystemHostStore",
	"TestSystemInPlace", "TestSystemFromCache", "TestSystemLeftovers", "TestSystemRefused",
	"TestNixosContainer", "TestNixosContainerRestore", "TestNixosContainerCreate", "TestNixosContainerBuilt", "TestNixosContainerFile",
	"TestNixosContainerDeclarative", "TestAdopt",
	"TestBuilt", "TestBuiltOnce", "TestBuiltFlags", "TestBuiltRefused", "TestBuiltDerivation", "TestBuiltLeftovers", "TestBuiltProgress",
	"TestNixDeclaration", "TestNix", "TestNixPushSSH", "TestNixInGuestOwnUndone", "TestNixInGuestDaemon",
	"TestImages", "TestOwners", "TestRecreate", "TestRelativePaths",
}

// share has the hosts with systemd, but for those of managers, share what is
// alike, where they run all of the suite.
func (b *workbench) share() {
	b.left = map[string]map[string]string{}
	if b.whole || b.run != "" || len(b.command) > 0 {
		return
	}
	var hosts []string
	for _, h := range b.hosts {
		if slices.Contains(b.suites(h), "e2e") && h != thisMachine {
			hosts = append(hosts, h)
		}
	}
	b.left = deal(alike, hosts)
}

// leaves is the pattern for -test.skip of what a host leaves to others, and says
// what that is.
func (b *workbench) leaves(host string) string {
	var patterns []string
	to := map[string][]string{}
	for _, test := range alike {
		if other, ok := b.left[host][test]; ok {
			patterns = append(patterns, "^"+strings.ReplaceAll(test, "/", "$/^")+"$")
			to[other] = append(to[other], test)
		}
	}
	for _, other := range slices.Sorted(maps.Keys(to)) {
		fmt.Fprintf(os.Stderr, "%s: leaves to %s what is alike on both: %s\n", host, other, strings.Join(to[other], " "))
	}
	return strings.Join(patterns, "|")
}

// deal says which tests each of the hosts leaves to which other one: host ->
// test -> the host that has it. Hosts get their tests in turns, there and back.
func deal(tests, hosts []string) map[string]map[string]string {
	left := map[string]map[string]string{}
	for _, h := range hosts {
		left[h] = map[string]string{}
	}
	if len(hosts) < 2 {
		return left
	}
	order := slices.Clone(hosts)
	for i, test := range tests {
		turn := i % len(hosts)
		if i > 0 && turn == 0 {
			slices.Reverse(order)
		}
		for _, h := range hosts {
			if h != order[turn] {
				left[h][test] = order[turn]
			}
		}
	}
	return left
}
