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
// docs/adr/0032. A test that is not in here runs on every host. Similar
// ones are beside each other, the slower first, so that hosts get about as much to do.
var alike = []string{
	"TestUpdates/flake", "TestUpdates/config", "TestUpdates/cache", "TestUpdates/path",
	"TestGeneration/users_pick,_ephemeral_false", "TestGeneration/users_pick,_ephemeral_true", "TestGeneration/users_no,_ephemeral_false",
	"TestGeneration/users_no,_ephemeral_true",
	"TestSystem/users_pick,_ephemeral_false", "TestSystem/users_pick,_ephemeral_true", "TestSystem/users_no,_ephemeral_false",
	"TestSystem/users_no,_ephemeral_true",
	"TestGenerationKilled/to_a_bad_one", "TestGenerationKilled/in_place", "TestGenerationKilled/restart",
	"TestInits/openrc", "TestInits/openrc-init", "TestInits/runit", "TestInits/busybox",
	"TestNamesKilled", "TestNixInGuestOwn", "TestGuestManagersOfDebian", "TestPrivateUsers", "TestPorts", "TestRoots", "TestNixInGuestOwnUndone",
	"TestOldKernel",
	"TestGenerationHealth", "TestGenerationRestart", "TestGenerationFromCache", "TestGenerationKept", "TestGenerationPending",
	"TestGenerationHostStore", "TestGenerationStopped", "TestGenerationImages",
	"TestSystemCached", "TestSystemKinds", "TestSystemChanges", "TestSystemKept", "TestSystemRoot", "TestSystemInPlace", "TestSystemFromCache",
	"TestSystemHostStore", "TestSystemLeftovers", "TestSystemRefused",
	"TestNixosContainerBuilt", "TestAdopt", "TestNixosContainer", "TestNixosContainerDeclarative", "TestNixosContainerCreate", "TestNixosContainerFile",
	"TestNixosContainerRestore",
	"TestOwnStore", "TestWorkshop", "TestBackup", "TestBook", "TestUnprivileged",
	"TestNetworkLive", "TestIngress", "TestIngressACME", "TestExampleWasabi", "TestExampleBridge", "TestExampleNixos", "TestGuestManagers",
	"TestBuilt", "TestNixPushSSH", "TestBuiltOnce", "TestNixDeclaration", "TestBuiltFlags", "TestBuiltDerivation", "TestBuiltLeftovers",
	"TestBuiltRefused", "TestBuiltProgress", "TestNix", "TestNixInGuestDaemon",
	"TestTenContainers", "TestSieveDoubts", "TestConcurrent", "TestCopy", "TestMissingSource", "TestAsk", "TestImages", "TestTwoApplies",
	"TestRecreate", "TestOwners", "TestAnswers", "TestEdit", "TestRelativePaths", "TestMistakes",
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
// test -> the host that has it. Hosts get their tests in turns.
func deal(tests, hosts []string) map[string]map[string]string {
	left := map[string]map[string]string{}
	for _, h := range hosts {
		left[h] = map[string]string{}
		for i, test := range tests {
			if has := hosts[i%len(hosts)]; has != h {
				left[h][test] = has
			}
		}
	}
	return left
}
