package network

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// TestUpdate gives a guest that runs other ports: in its lease and in the
// kernel, in a network namespace of the test's own.
func TestUpdate(t *testing.T) {
	t.Parallel()
	paths := state.Paths{Root: t.TempDir()}
	for _, n := range someNetworks() {
		if err := WriteNetwork(paths, n); err != nil {
			t.Fatal(err)
		}
	}
	l := leaseFor(t, "web", forwarding("tcp", 80, 80, ""))
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread is thrown away
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		updated(t, paths, l)
	}()
	<-done
}

func updated(t *testing.T, paths state.Paths, l Lease) {
	if err := Update(t.Context(), paths, l); err != nil {
		t.Errorf("without a lease: %v", err)
	}
	if _, err := os.Stat(paths.Lease("web")); err == nil {
		t.Error("an update made a lease")
	}
	if err := rulesOf(paths).Add(t.Context(), l); err != nil {
		t.Error(err)
	}
	if err := writeLease(paths, l); err != nil {
		t.Error(err)
	}
	s := container.DefaultSpec()
	s.PrivateNetwork, s.Aliases = true, []string{"www"}
	forwarding("udp", 8000, 8010, "")(&s)
	next, err := l.With(s)
	if err != nil {
		t.Error(err)
	}
	for range 2 { // it can be repeated
		if err := Update(t.Context(), paths, next); err != nil {
			t.Error(err)
		}
	}
	have, err := ReadLease(paths, "web")
	if err != nil || len(have.Ports) != 1 || have.Ports[0].First != 8000 || len(have.Aliases) != 1 || len(have.Links) != 1 {
		t.Errorf("%+v, %v", have, err)
	}
	traffic, err := PortTraffic(paths, "web")
	if err != nil || len(traffic) != 1 || traffic[0].Port.Protocol != "udp" {
		t.Errorf("%+v, %v", traffic, err)
	}
	n := someNetworks()["default"]
	n.Isolated = true
	if err := Change(t.Context(), paths, n); err != nil {
		t.Error(err)
	}
	if got, err := readNetwork(paths, "default"); err != nil || !got.Isolated {
		t.Errorf("%+v, %v", got, err)
	}
	if err := rulesOf(paths).Remove(t.Context(), have); err != nil {
		t.Error(err)
	}
}
