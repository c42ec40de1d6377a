package declare

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-containers/berth/container"
)

// baseSpec is a container that is there already.
func baseSpec(t testing.TB) container.Spec {
	t.Helper()
	d, err := ParseYAML(strings.NewReader(`
containers:
  web:
    image: debian:bookworm
    privateNetwork: true
    hostAddress: 10.0.0.1
    localAddress: 10.0.0.2
    labels: { a.b: c }
    forwardPorts: [{ hostPort: 80 }, { hostPort: 443, protocol: udp }]
    bindMounts: { /srv: { hostPath: /data } }
    tmpfs: [/tmp, /var/tmp]
    limits: { memoryMax: 1G, tasksMax: 100 }
`), "/dir/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return d.Containers[0].Spec
}

func TestParseAssignments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string // separated by |
		want func(*container.Spec)
	}{
		{"ephemeral=true", func(s *container.Spec) { s.Ephemeral = true }},
		{"autoStart=", func(s *container.Spec) { s.AutoStart = false }},
		{"image=dir:./rootfs", func(s *container.Spec) { s.Image = container.ImageRef{Kind: "dir", Arg: "/work/rootfs"} }},
		{"limits.memoryMax=2G|limits.tasksMax=", func(s *container.Spec) { s.Limits = container.Limits{MemoryMax: 2 << 30} }},
		{"limits=", func(s *container.Spec) { s.Limits = container.Limits{} }},
		{"limits={cpuQuota: 50%}", func(s *container.Spec) { s.Limits = container.Limits{CPUQuota: 50} }},
		{"healthCheck.tcp=:80|healthCheck.retries=3", func(s *container.Spec) { s.HealthCheck = &container.HealthCheck{TCP: ":80", Retries: 3} }},
		{"labels.a.b=|labels.c.d=e f: g # h", func(s *container.Spec) { s.Labels = container.Labels{"c.d": "e f: g # h"} }},
		{"environment.PORT=8080|environment.D=true|environment.T=@x", func(s *container.Spec) {
			s.Environment = map[string]string{"PORT": "8080", "D": "true", "T": "@x"}
		}},
		{`environment.A=""|environment.B="a\tb"|environment.C='q'|environment.D="a" "b"`, func(s *container.Spec) {
			s.Environment = map[string]string{"A": "", "B": "a\tb", "C": "q", "D": `"a" "b"`}
		}},
		{"bindMounts./srv.hostPath=x|bindMounts./srv.isReadOnly=false", func(s *container.Spec) {
			s.BindMounts = map[string]container.BindMount{"/srv": {HostPath: "/work/x"}}
		}},
		{"bindMounts./srv=|bindMounts./a.b.hostPath=/x|bindMounts./c.d={hostPath: /y}", func(s *container.Spec) {
			s.BindMounts = map[string]container.BindMount{"/a.b": {HostPath: "/x", IsReadOnly: true}, "/c.d": {HostPath: "/y", IsReadOnly: true}}
		}},
		{"tmpfs+=/x|tmpfs-=/tmp", func(s *container.Spec) { s.Tmpfs = []string{"/var/tmp", "/x"} }},
		{"tmpfs+=[/x, /y]", func(s *container.Spec) { s.Tmpfs = []string{"/tmp", "/var/tmp", "/x", "/y"} }},
		{"tmpfs=[/x]", func(s *container.Spec) { s.Tmpfs = []string{"/x"} }},
		{"extraFlags+=--setenv=A=b", func(s *container.Spec) { s.ExtraFlags = []string{"--setenv=A=b"} }},
		{"forwardPorts-={hostPort: 80}", func(s *container.Spec) {
			s.ForwardPorts = []container.ForwardPort{{Protocol: "udp", HostPort: container.Port(443)}}
		}},
		{"privateUsers=no", func(s *container.Spec) { s.PrivateUsers.Mode = container.UsersNo }},
		{"timeoutStartSec=1min 30s", func(s *container.Spec) { s.TimeoutStartSec = 90e9 }},
	} {
		want := baseSpec(t)
		c.want(&want)
		got, err := ParseAssignments(baseSpec(t), strings.Split(c.args, "|"), "argument", "/work")
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestParseAssignmentsErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"ephemeral", `argument 1: "ephemeral" does not have the form KEY=VALUE`},
		{"=x", `argument 1: "=x" does not have the form KEY=VALUE`},
		{"ephemeral=true|limits.memoryMax=much", `argument 2: limits.memoryMax: "much" is not an amount such as 512M or 2G`},
		{"ephemeral=yes", `argument 1: ephemeral: expected true or false, got the text "yes"`},
		{"memory=1G", `argument 1: memory: unknown key; did you mean "limits"?`},
		{"imgae=debian:trixie", `argument 1: imgae: unknown key; did you mean "image"?`},
		{"limits.memory=1G", `argument 1: limits.memory: unknown key; did you mean "memoryMax"?`},
		{"bindMounts./srv.hostpath=/x", `argument 1: bindMounts./srv.hostpath: unknown key; did you mean "hostPath"?`},
		{"labels.=", `argument 1: labels.: no key is named after the last dot`},
		{"image.tag=x", `argument 1: image.tag: image has no keys below it`},
		{"ephemeral+=true", `argument 1: ephemeral: += is for lists`},
		{"tmpfs-=/x", `argument 1: tmpfs: the list has no item "/x"`},
		{"forwardPorts-={hostPort: 81}", `argument 1: forwardPorts: the list has no item like this`},
		{"tmpfs=/x", `argument 1: tmpfs: expected a list of paths, got the text "/x"`},
		{"tmpfs=[/x", `argument 1: tmpfs: the list that starts at 1:1 is not closed: "," or "]" is expected here`},
		{"tmpfs+=/srv", `argument 1: tmpfs[2]: "/srv" is a mount point of bindMounts too`},
		{"image=", `nothing says what the guest is made of`},
		{"flake=.#x", "argument 1: flake: image and flake are given: keep one, the guest is made of one thing"},
		{"privateNetwork=", "hostAddress: this needs a network of the guest's own, and the guest has the host's\n" +
			"localAddress: this needs a network of the guest's own, and the guest has the host's\n" +
			"forwardPorts: this needs a network of the guest's own, and the guest has the host's"},
		{"limits=1G|limits.tasksMax=1", "argument 1: limits: expected a map of limits such as memoryMax, got the text \"1G\"\n" +
			"argument 2: limits.tasksMax: an argument before this one makes limits text instead of a map"},
		{"config=~", "argument 1: config: image and config are given: keep one, the guest is made of one thing"},
		{"ephemeral=\xff", "argument 1: ephemeral: this is not UTF-8 text"},
	} {
		_, err := ParseAssignments(baseSpec(t), strings.Split(c.args, "|"), "argument", "/work")
		if err == nil {
			t.Errorf("%s: no error", c.args)
			continue
		}
		if err.Error() != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.args, err, c.want)
		}
	}
}

func FuzzParseAssignments(f *testing.F) {
	f.Add("bindMounts./srv.hostPath=x", "tmpfs+=/x")
	f.Add("limits={cpuQuota: 50%}", "limits.memoryMax=2G")
	f.Add("forwardPorts-={hostPort: 80}", "healthCheck.command=[a, b]")
	f.Add(`environment.A="x"`, "labels.a.b-=c")
	f.Add(strings.Repeat("long", 600)+"=x", "labels."+strings.Repeat("long", 600)+"+=x")
	base := baseSpec(f)
	f.Fuzz(func(t *testing.T, one, two string) {
		spec, err := ParseAssignments(base, []string{one, two}, "argument", "/work")
		if err != nil {
			checkProblems(t, err)
			return
		}
		checkRender(t, Declared{Name: "web", Spec: spec})
	})
}
