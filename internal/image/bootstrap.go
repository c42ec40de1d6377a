package image

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/berth-containers/berth/container"
)

// bootstrap runs argv in mount and process namespaces of its own, so that
// nothing of it, no mount and no process, is left when it or berth ends.
func bootstrap(ctx context.Context, argv []string, tmp string, report reporter) error {
	runtime.LockOSThread() // Pdeathsig goes by the thread that started the process
	defer runtime.UnlockOSThread()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Dir = "/"
	cmd.Env = bootstrapEnv(os.Environ(), tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	said := follow(r, report)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &container.Error{
			Err:  fmt.Errorf("%s: %w: %s", argv[0], err, strings.Join(said, "; ")),
			Hint: "check that the mirror " + argv[len(argv)-1] + " can be reached and has the suite",
		}
	}
	report.end("bootstrapping", 0)
	return nil
}

// bootstrapEnv leaves out of an environment all but how to reach the mirror.
func bootstrapEnv(environ []string, tmp string) []string {
	env := []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", "TMPDIR=" + tmp,
	}
	for _, e := range environ {
		key, _, _ := strings.Cut(e, "=")
		if slices.Contains([]string{"http_proxy", "https_proxy", "no_proxy"}, strings.ToLower(key)) {
			env = append(env, e)
		}
	}
	return env
}

// follow turns the lines of a bootstrap program into events until it ends,
// and returns the last errors that it told of, or else its last line.
func follow(r io.Reader, report reporter) []string {
	var errs []string
	last := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := printable(lines.Text())
		if line == "" {
			continue
		}
		last = line
		switch {
		case strings.HasPrefix(line, "I: "):
			report.send("bootstrapping: "+strings.TrimRight(line[3:], "."), 0, 0)
		case strings.HasPrefix(line, "E: "):
			errs = append(errs, line[3:])
			errs = errs[max(0, len(errs)-3):]
		}
	}
	io.Copy(io.Discard, r) // a line without end must not stop the program
	if len(errs) == 0 {
		return []string{last}
	}
	return errs
}
