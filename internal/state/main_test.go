package state

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// roleVariable makes the test binary play another process.
const roleVariable = "BERTH_STATE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func play(role, path string) error {
	switch role {
	case "writer": // writes for ever
		for i := 0; ; i++ {
			if err := WriteJSON(path, contentOf(i)); err != nil {
				return err
			}
			fmt.Println(i)
		}
	case "holder": // holds a lock until its input ends
		l, err := TryLock(path)
		if err != nil {
			return err
		}
		return hold(l)
	case "heir": // holds one that it was started with
		return hold(Inherited(os.NewFile(3, "lock")))
	}
	return fmt.Errorf("no such role: %s", role)
}

func hold(l *Lock) error {
	fmt.Println("held")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return l.Unlock()
}

// other is another process.
type other struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t *testing.T, role, path string) *other {
	t.Helper()
	return startWith(t, role, path)
}

// startWith starts a process with more files open, from 3 on.
func startWith(t *testing.T, role, path string, files ...*os.File) *other {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", path)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, files
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &other{cmd, in, bufio.NewReader(out)}
}

// says waits for the next line of the process.
func (o *other) says(t *testing.T) string {
	t.Helper()
	line, err := o.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the other process ended: %v", err)
	}
	return strings.TrimSpace(line)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
