package engine

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
)

// TestRefusedNodes: a node that is bound and not allowed is one that the kernel
// refuses.
func TestRefusedNodes(t *testing.T) {
	t.Parallel()
	node := filepath.Join(t.TempDir(), "kmsg")
	if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
		t.Fatal(err)
	}
	bound := map[string]container.BindMount{
		"/dev/a": {HostPath: node}, "/dev/b": {HostPath: "/dev/null"}, "/etc": {HostPath: "/etc"}, "/none": {HostPath: "/does/not/exist"},
	}
	for _, c := range []struct {
		allowed string
		want    string
	}{
		{"", node},
		{"/dev/null", node},
		{node, ""},
		{"char-mem", ""},
	} {
		s := container.Spec{BindMounts: bound}
		if c.allowed != "" {
			s.AllowedDevices = []container.AllowedDevice{{Node: c.allowed}}
		}
		if got := strings.Join(refusedNodes(s), " "); got != c.want {
			t.Errorf("with %q allowed: %q, not %q", c.allowed, got, c.want)
		}
	}
}

func TestRunningJobs(t *testing.T) {
	t.Parallel()
	list := "  2 multi-user.target start waiting\n 71 slow.service start running\n 80 old.service stop running\n\nno job\n"
	if got := strings.Join(runningJobs([]byte(list)), " "); got != "slow.service" {
		t.Errorf("%q", got)
	}
}

func TestLiterally(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a.service", `dev-disk-by\x2dlabel-x.device`, `user@1000.service`, `a*[b?.service`, `\`} {
		if ok, err := path.Match(literally(unit), unit); !ok || err != nil {
			t.Errorf("%s: %v, %v", unit, ok, err)
		}
	}
	if ok, _ := path.Match(literally("a*.service"), "ab.service"); ok {
		t.Error("a* matches ab")
	}
}
