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
// docs/adr/0032. A test that is not in here runs on every host. Those that cost
// as much are beside each other, the dearest first, so that hosts get about as
// much to do.
var alike = []string{
	"TestUpdates/flake", "TestUpdates/config", "TestUpdates/path", "TestGenerationKilled/in_place", "TestUpdates/cache", "TestNixInGuestOwn",
	"TestGuestManagersOfDebian", "TestGenerationKilled/to_a_bad_one", "TestInits/openrc", "TestGenerationKilled/restart", "TestInits/openrc-init",
	"TestNixosContainerBuilt", "TestConcurrent", "TestGenerationHealth", "TestAttached/privateUsers=no", "TestPorts",
	"TestGeneration/users_pick,_ephemeral_true", "TestAttached/privateUsers=pick", "TestGeneration/users_pick,_ephemeral_false", "TestInits/runit",
	"TestGeneration/users_no,_ephemeral_true", "TestBuilt", "TestTenContainers", "TestGeneration/users_no,_ephemeral_false", "TestOldKernel",
	"TestNamesKilled", "TestExec/Codes/unit", "TestGenerationRestart", "TestIngressACME", "TestPrivateUsers", "TestNixInGuestOwnUndone",
	"TestInits/sysvinit", "TestAdopt", "TestOwnStore", "TestRoots", "TestNixDeclaration", "TestGenerationFromCache", "TestWorkshop", "TestNixPushSSH",
	"TestGenerationPending", "TestGenerationSwitchDies", "TestExampleWasabi", "TestNetworkLive", "TestShimKilledInits", "TestNixosContainer", "TestSieveDoubts", "TestBook",
	"TestSystemCached", "TestExec/Codes/direct", "TestBuiltOnce", "TestGenerationKept", "TestIngress", "TestBackup", "TestNixosContainerDeclarative",
	"TestExampleBridge", "TestJournalForms", "TestNixosContainerCreate", "TestJournalHostile", "TestGuestManagers", "TestGenerationStopped",
	"TestInits/busybox", "TestSystemChanges", "TestSystemFromCache", "TestExampleNixos", "TestSystem/users_pick,_ephemeral_true",
	"TestNixosContainerFile", "TestUnprivileged", "TestNixosContainerRestore", "TestSystem/users_no,_ephemeral_true", "TestSystemKinds",
	"TestBuiltFlags", "TestSystem/users_no,_ephemeral_false", "TestSystem/users_pick,_ephemeral_false", "TestGenerationHostStore", "TestSystemKept",
	"TestNixInGuestDaemon", "TestSystemInPlace", "TestSystemRoot", "TestCopy", "TestGenerationImages", "TestBuiltDerivation", "TestSystemHostStore",
	"TestRecreate", "TestEdit", "TestAsk", "TestSystemLeftovers", "TestOwners", "TestTwoApplies", "TestBuiltRefused", "TestBuiltLeftovers",
	"TestMissingSource", "TestAnswers", "TestImages", "TestRelativePaths", "TestNix", "TestBuiltProgress", "TestMistakes", "TestSystemRefused",
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

// partly are the tests of which a host leaves rows to others.
func (b *workbench) partly(host string) map[string]bool {
	out := map[string]bool{}
	for test := range b.left[host] {
		if of, _, row := strings.Cut(test, "/"); row {
			out[of] = true
		}
	}
	return out
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
