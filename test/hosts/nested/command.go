package nested

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Command is a command for a running host: a service of its systemd, as root,
// with the streams and the exit code of the exec.Cmd. When ctx ends it is
// killed. env has KEY=VALUE; nothing else of this process's environment is
// there.
func (h *Host) Command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	unit := "command-" + strings.ToLower(rand.Text()) + ".service"
	run := []string{"systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--unit=" + unit, "--working-directory=/root"}
	for _, e := range append([]string{"HOME=/root"}, env...) {
		run = append(run, "--setenv="+e)
	}
	run = append(run, "--")
	for _, a := range args {
		run = append(run, strings.ReplaceAll(a, "$", "$$")) // systemd knows variables too
	}
	cmd := exec.CommandContext(ctx, "nsenter", h.enter(run...)...)
	cmd.Cancel = func() error {
		stop := exec.Command("nsenter", h.enter("systemctl", "kill", "--signal=SIGKILL", unit)...)
		return errors.Join(stop.Run(), cmd.Process.Kill())
	}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// CommandBeside is a command in a running host that does not end when the
// host's D-Bus is restarted: it is no service, and in no control group of the
// host.
func (h *Host) CommandBeside(ctx context.Context, env []string, args ...string) *exec.Cmd {
	plain := []string{"env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return exec.CommandContext(ctx, "nsenter", h.enter(slices.Concat(plain, env, args)...)...)
}

// enter are arguments of nsenter(1).
func (h *Host) enter(args ...string) []string {
	return append([]string{"--target", strconv.Itoa(h.running.leader.PID), "--all", "--"}, args...)
}

// Files are the files of the host, as it sees them while it runs.
func (h *Host) Files() (*os.Root, error) {
	if h.running == nil {
		return os.OpenRoot(h.root())
	}
	return os.OpenRoot("/proc/" + strconv.Itoa(h.running.leader.PID) + "/root")
}

// CopyIn copies the file from to the host's path to, and CopyOut the other
// way. Directories that are missing on the way are made, files replaced, and
// modes kept.
func (h *Host) CopyIn(from, to string) error {
	return h.copy(func(files *os.Root) error {
		if err := files.MkdirAll(relative(path.Dir(to)), 0o755); err != nil {
			return err
		}
		return copyFile(func() (*os.File, error) { return os.Open(from) }, func(mode os.FileMode) (*os.File, error) {
			return files.OpenFile(relative(to), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
		})
	})
}

// CopyOut copies the host's file from to the file to.
func (h *Host) CopyOut(from, to string) error {
	return h.copy(func(files *os.Root) error {
		if err := os.MkdirAll(path.Dir(to), 0o755); err != nil {
			return err
		}
		return copyFile(func() (*os.File, error) { return files.Open(relative(from)) }, func(mode os.FileMode) (*os.File, error) {
			return os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
		})
	})
}

func (h *Host) copy(f func(*os.Root) error) error {
	files, err := h.Files()
	if err != nil {
		return err
	}
	defer files.Close()
	return f(files)
}

// relative is an absolute path of the host for its os.Root.
func relative(p string) string { return path.Join(".", path.Clean("/"+p)) }

func copyFile(open func() (*os.File, error), create func(os.FileMode) (*os.File, error)) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := create(info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(info.Mode().Perm()), out.Close())
}
