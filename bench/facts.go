package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// facts are what has to be known of the machine to read the figures.
func (l *lab) facts() []fact {
	return []fact{
		{"date", time.Now().UTC().Format("2006-01-02 15:04 MST")},
		{"berth", firstLine(exec.Command(l.options.berth, "version"))},
		{"system", firstLine(exec.Command("sh", "-c", `. /etc/os-release; echo "$PRETTY_NAME"`))},
		{"kernel", firstLine(exec.Command("uname", "-r"))},
		{"cores", fmt.Sprintf("%d, %s", runtime.NumCPU(), cpuModel())},
		{"memory", fmt.Sprintf("%d GiB", memory()>>30)},
		{"file system", l.fileSystem()},
		{"systemd-nspawn", fmt.Sprint(l.nspawn.Version)},
		{"cgroups", l.cgroups.Mode()},
		{"rounds", fmt.Sprint(l.n)},
		{"load at the start", loadAverage()},
	}
}

// firstLine is what a program says first, for people.
func firstLine(cmd *exec.Cmd) string {
	out, err := cmd.Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		return err.Error()
	}
	return line
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func memory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// fileSystem is the type of the one that the lab is on.
func (l *lab) fileSystem() string {
	return firstLine(exec.Command("findmnt", "--noheadings", "--output", "FSTYPE", "--target", l.dir))
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
