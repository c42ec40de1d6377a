//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// The environment of the process that runs the tests; see supervise.
const (
	dirVariable    = "BERTH_E2E_DIR"
	binaryVariable = "BERTH_E2E_BINARY"
)

// TestMain runs the tests in a child process, so that whatever ends them, a
// panic, a timeout or an interrupt, somebody is there to clean up and to look
// at what they left.
func TestMain(m *testing.M) {
	if os.Getenv(authorityVariable) != "" {
		os.Exit(playAuthority())
	}
	if os.Getenv(dirVariable) == "" {
		os.Exit(supervise())
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "4") // guests wait more than they compute
	}
	os.Exit(m.Run())
}

// supervise prepares a directory for the tests, runs them, and cleans up.
func supervise() (code int) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	if err := prerequisites(); err != nil {
		return complain(err)
	}
	dir, err := os.MkdirTemp(either("BERTH_TEST_DIR", "/var/tmp"), "berth-e2e-")
	if err != nil {
		return complain(err)
	}
	before, err := lookAround()
	if err != nil {
		return complain(err)
	}
	defer func() {
		if err := sweep(dir); err != nil {
			code = complain(err)
		}
		if err := before.compare(dir); err != nil {
			code = complain(err)
		}
	}()
	binary, err := prepare(dir, signals)
	if err != nil {
		return complain(err)
	}
	if onlyCaches() {
		return 0
	}
	images, err := digestTree(storeImages(dir))
	if err != nil {
		return complain(err)
	}
	code = runTests(dir, binary, signals)
	if after, err := digestTree(storeImages(dir)); err != nil {
		return complain(err)
	} else if after != images {
		return complain(fmt.Errorf("the images of the store are not what they were: something wrote to %s", storeImages(dir)))
	}
	return code
}

// runTests runs this program again for the tests themselves.
func runTests(dir, binary string, signals <-chan os.Signal) int {
	self, err := os.Executable()
	if err != nil {
		return complain(err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), dirVariable+"="+dir, binaryVariable+"="+binary)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is passed on below, once
	if err := cmd.Start(); err != nil {
		return complain(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = syscall.Kill(-cmd.Process.Pid, s.(syscall.Signal))
		case <-ended:
			return max(cmd.ProcessState.ExitCode(), -cmd.ProcessState.ExitCode())
		}
	}
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// onlyCaches reports whether to make what is kept for later runs, and no more.
func onlyCaches() bool { return os.Getenv("BERTH_TEST_ONLY_CACHE") != "" }

// either is an environment variable, or a default.
func either(variable, otherwise string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return otherwise
}

// storeImages is the image store that the roots of all tests share.
func storeImages(dir string) string { return filepath.Join(dir, "store/var/lib/berth/images") }
