package cgroup

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseMountinfo(t *testing.T) {
	t.Parallel()
	long := "40 1 0:50 / /x rw - overlay overlay rw,lowerdir=" + strings.Repeat("/layer:", 20_000)
	for name, c := range map[string]struct {
		text string
		want []string // mount root version controllers
		mode string
	}{
		"unified": {`
23 1 0:21 / /proc rw,nosuid - proc proc rw
29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot`,
			[]string{"/sys/fs/cgroup / v2 "}, "unified"},
		"hybrid": {`
31 23 0:28 / /sys/fs/cgroup ro shared:8 - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio
36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`,
			[]string{"/sys/fs/cgroup/unified / v2 ", "/sys/fs/cgroup/systemd / v1 name=systemd", "/sys/fs/cgroup/cpu,cpuacct / v1 cpu,cpuacct",
				"/sys/fs/cgroup/memory / v1 memory"}, "hybrid"},
		"legacy": {`
33 31 0:30 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
34 31 0:31 / /sys/fs/cgroup/pids rw - cgroup pids rw,pids,clone_children,release_agent=/x`,
			[]string{"/sys/fs/cgroup/freezer / v1 freezer", "/sys/fs/cgroup/pids / v1 pids"}, "legacy"},
		"docker": {`
1021 990 0:30 /docker/4f /sys/fs/cgroup/memory ro,nosuid master:16 - cgroup cgroup rw,memory
1022 990 0:31 /docker/4f /sys/fs/cgroup/systemd ro,nosuid master:11 - cgroup systemd rw,name=systemd`,
			[]string{"/sys/fs/cgroup/memory /docker/4f v1 memory", "/sys/fs/cgroup/systemd /docker/4f v1 name=systemd"}, "legacy"},
		"twice": {`
29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
30 23 0:26 / /mnt/cgroup rw - cgroup2 cgroup2 rw
31 23 0:27 / /a rw - cgroup cgroup rw,pids
32 23 0:27 / /b rw - cgroup cgroup rw,pids`,
			[]string{"/sys/fs/cgroup / v2 ", "/a / v1 pids"}, "hybrid"},
		"escapes": {`
29 23 0:26 /a\134b /mnt/a\040b\011c\012d\134040\043 rw - cgroup2 cgroup2 rw`,
			[]string{"/mnt/a b\tc\nd\\040# /a\\b v2 "}, "unified"},
		"a long line": {long + "\n29 23 0:26 / /c rw - cgroup2 cgroup2 rw", []string{"/c / v2 "}, "unified"},
		"rubbish": {`
x
1 2 3 4 5
 - cgroup2
1 2 3 4 - cgroup2 x rw
1 2 3 / /a rw - cgroup2
29 23 0:26 / /sys/fs/cgroup rw - notcgroup2 cgroup2 rw`, nil, "legacy"},
		"nothing": {"", nil, "legacy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := parseMountinfo(strings.NewReader(c.text))
			must(t, err)
			var got []string
			for _, l := range h.list {
				v := "v1"
				if l.v2 {
					v = "v2"
				}
				got = append(got, fmt.Sprintf("%s %s %s %s", l.mount, l.root, v, strings.Join(l.controllers, ",")))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if h.Mode() != c.mode {
				t.Errorf("mode %s, not %s", h.Mode(), c.mode)
			}
		})
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add("29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
	f.Add(`29 23 0:26 /a\134b /mnt/a\040b rw - cgroup cgroup rw,name=`)
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseMountinfo(strings.NewReader(s))
		if err == nil && strings.Count(s, "\n") < len(h.list)-1 {
			t.Errorf("%d hierarchies", len(h.list))
		}
	})
}

func TestWhereGroupsAreSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ root, path, want string }{
		{"/", "/", "/m"},
		{"/", "/a/b", "/m/a/b"},
		{"", "/a", "/m/a"},
		{"/docker/4f", "/docker/4f", "/m"},
		{"/docker/4f", "/docker/4f/berth/web", "/m/berth/web"},
		{"/docker/4f", "/docker/4fe/web", "/m/docker/4fe/web"},
	} {
		if got := (hierarchy{mount: "/m", root: c.root}).at(c.path); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestLinesOfProcCgroup(t *testing.T) {
	t.Parallel()
	h := Hierarchies{[]hierarchy{{mount: "v2", v2: true}, {mount: "cpu", controllers: []string{"cpu", "cpuacct"}}, {mount: "systemd", controllers: []string{"name=systemd"}}}}
	for line, want := range map[string]string{"0 ": "v2", "3 cpu,cpuacct": "cpu", "1 name=systemd": "systemd", "7 perf_event": "", "2 ": ""} {
		id, controllers, _ := strings.Cut(line, " ")
		if got, ok := h.ofLine(id, controllers); got.mount != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", line, got.mount, ok)
		}
	}
	if _, ok := (Hierarchies{}).ofLine("0", ""); ok {
		t.Error("a hierarchy that is not there is found")
	}
	if got := h.Controllers(); !slices.Equal(got, []string{"cpu", "cpuacct", "name=systemd"}) {
		t.Errorf("controllers: %q", got)
	}
}
