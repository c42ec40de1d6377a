package namespace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// roleVariable makes the test binary play another program.
const roleVariable = "BERTH_NAMESPACE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(role string) error {
	switch role {
	case "init": // lives until its input ends
		fmt.Println("here")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "filtered": // lives until its input ends, too
		if err := filterSelf(); err != nil {
			return err
		}
		return play("init")
	case "become": // the next role, below filters
		if has, err := Filtered(); has || err != nil {
			return fmt.Errorf("there is a filter already: %v, %w", has, err)
		}
		return Become("/proc/self/exe", []string{"name", "filtered already"}, []string{roleVariable + "=init", "A=b"}, twoFilters())
	case "exit":
		os.Exit(42)
	case "echo":
		b, err := io.ReadAll(os.Stdin)
		fmt.Print("out ", string(b))
		fmt.Fprint(os.Stderr, "err ", string(b))
		return err
	case "facts":
		f, err := facts()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(f)
	case "storm":
		return storm()
	case "frozen":
		return frozen()
	}
	return fmt.Errorf("no such role: %s", role)
}

// Facts are what a program knows of itself.
type Facts struct {
	Args, Env      []string
	Dir            string
	UID, GID       int
	Groups         []int
	UIDMap, GIDMap string
	Status         map[string]string // of /proc/self/status
	Cgroups        string
	Spaces         map[string]string // by the name of the kind
	Session        int
	PID            int
	Terminal       bool // standard input is the controlling terminal
}

func facts() (Facts, error) {
	f := Facts{Args: os.Args, Env: os.Environ(), UID: os.Getuid(), GID: os.Getgid(), PID: os.Getpid(),
		Status: map[string]string{}, Spaces: map[string]string{}}
	var errs [5]error
	f.Dir, errs[0] = os.Getwd()
	f.Groups, errs[1] = os.Getgroups()
	f.Session, errs[2] = unix.Getsid(0)
	session, err := unix.IoctlGetInt(0, unix.TIOCGSID)
	f.Terminal = err == nil && session == f.Session
	read := func(name string) string {
		b, err := os.ReadFile("/proc/self/" + name)
		errs[3] = errors.Join(errs[3], err)
		return string(b)
	}
	f.UIDMap, f.GIDMap, f.Cgroups = read("uid_map"), read("gid_map"), read("cgroup")
	for line := range strings.Lines(read("status")) {
		k, v, _ := strings.Cut(line, ":")
		f.Status[k] = strings.TrimSpace(v)
	}
	for _, k := range Kinds() {
		f.Spaces[k.Name], err = os.Readlink("/proc/self/ns/" + k.Name)
		errs[4] = errors.Join(errs[4], err)
	}
	return f, errors.Join(errs[:]...)
}

// base is the host's number of a test guest's root.
const base = 700_000

// guest is a process in namespaces of its own, with others to join it.
type guest struct {
	*exec.Cmd
	pidfd *os.File
}

func newGuest(stop func(func())) (*guest, error) {
	flags := 0
	for _, k := range Kinds() {
		flags |= k.Flag
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = []string{roleVariable + "=init"}, os.Stderr
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 1 << 16}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flags), UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("these tests make namespaces, as root: %w", err)
	}
	stop(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		return nil, err
	}
	g := &guest{cmd, os.NewFile(uintptr(fd), "pidfd")}
	stop(func() { g.pidfd.Close() })
	return g, nil
}

// startGuest is newGuest for a test, which it ends with.
func startGuest(t *testing.T) *guest {
	t.Helper()
	g, err := newGuest(t.Cleanup)
	must(t, err)
	return g
}

// command runs the test binary in the guest, as role.
func (g *guest) command(t *testing.T, role string) *Command {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	must(t, err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { self.Close(); null.Close() })
	return &Command{Target: g.pidfd, Flags: allFlags(), File: self, Args: []string{role}, Env: []string{roleVariable + "=" + role},
		Dir: "/", Bounding: ^uint64(0), Stdin: null, Stdout: null, Stderr: os.Stderr, NewSession: true}
}

func allFlags() int {
	flags := 0
	for _, k := range Kinds() {
		flags |= k.Flag
	}
	return flags
}

// wait waits for a child and returns its exit code.
func wait(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case !status.Exited():
			return 0, fmt.Errorf("the program ended by %v", status.Signal())
		}
		return status.ExitStatus(), nil
	}
}

// temp is an empty file that anybody may write to.
func temp(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func contentOf(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	must(t, err)
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
