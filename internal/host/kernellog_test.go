package host

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	t.Parallel()
	boot := time.Unix(1000, 0)
	at := boot.Add(2500 * time.Millisecond)
	for record, want := range map[string]*Incident{
		"6,1,2500000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/berth/web/guest,task_memcg=/berth/web/guest/x,task=tail,pid=25591,uid=1537277952\n SUBSYSTEM=x\n": {
			At: at, Kind: OutOfMemory, Group: "/berth/web/guest/x", Program: "tail"},
		"6,1,2500000,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/machine.slice/berth@web.service,task=a b,pid=1,uid=0": {
			At: at, Kind: HostMemory, Group: "/machine.slice/berth@web.service", Program: "a b"},
		"6,2,2500000,-;cgroup: fork rejected by pids controller in /berth/web/guest": {At: at, Kind: ForkRefused, Group: "/berth/web/guest"},
		`5,3,2500000,-;audit: type=1326 audit(1795222.1:7): auid=4294967295 uid=524321 gid=0 ses=4294967295 subj=unconfined pid=9 comm="x y" exe="/x" sig=31 arch=c000003e syscall=101 compat=0 ip=0x7f code=0x80000000`: {
			At: at, Kind: CallDenied, UID: 524321, Program: "x y", Detail: "system call 101"},
		`5,3,2500000,-;audit: type=1400 audit(1.1:8): apparmor="DENIED" operation="mount" class="mount" profile="p" name="/mnt/" pid=5 comm="mount" fsuid=524288 ouid=0`: {
			At: at, Kind: ProfileDenied, UID: 524288, Program: "mount", Detail: "mount /mnt/"},
		`5,3,2500000,-;audit: type=1400 audit(1.1:8): apparmor="DENIED" operation="x" comm=6D6F fsuid=7`: {At: at, Kind: ProfileDenied, UID: 7, Program: "6D6F", Detail: "x"},
		"6,1,2500000,-;usb 1-1: new device":                     nil,
		"6,1,x,-;cgroup: fork rejected by pids controller in /": nil,
		"6,1;cgroup: fork rejected by pids controller in /":     nil,
		"6,1,1,-;oom-kill:constraint=x":                         nil,
		"6,1,1,-;audit: type=1326 uid=-1 ":                      nil,
		"":                                                      nil,
	} {
		got, ok := parseRecord(record, boot)
		if ok != (want != nil) {
			t.Errorf("%q: %v, %+v", record, ok, got)
		}
		if want != nil {
			if diff := cmp.Diff(*want, got); diff != "" {
				t.Errorf("%q: %s", record, diff)
			}
		}
	}
}

// FuzzRecord feeds what processes can put into the log by their names and
// those of their cgroups.
func FuzzRecord(f *testing.F) {
	f.Add("6,1,2,-;oom-kill:task_memcg=/a,task=b,pid=1")
	f.Add(`5,3,2,-;audit: type=1326 uid=1 comm="`)
	f.Add("audit: type=1400 apparmor=\"DENIED\" operation=\"")
	f.Fuzz(func(t *testing.T, s string) {
		if i, ok := parseRecord(s, time.Time{}); ok && i.Kind == "" {
			t.Errorf("%q is an incident of no kind", s)
		}
	})
}

// TestIncidents reads the log of this machine, where there is one.
func TestIncidents(t *testing.T) {
	t.Parallel()
	all, err := Incidents()
	if _, gone := os.Stat(kernelLog); gone != nil && errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.At.After(time.Now().Add(time.Minute)) || i.At.Before(time.Now().AddDate(-20, 0, 0)) {
			t.Errorf("it was not then: %+v", i)
		}
	}
}
