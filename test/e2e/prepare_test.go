//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-containers/berth/test/mini-nixos"
)

// prerequisites says what this machine lacks.
func prerequisites() error {
	var errs []error
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("the tests need root: they run containers"))
	}
	for _, tool := range []string{"systemd-nspawn", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			errs = append(errs, fmt.Errorf("the tests need %s: %w", tool, err))
		}
	}
	for _, file := range cachedImages() {
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if _, err := exec.LookPath("mmdebstrap"); err != nil {
			errs = append(errs, fmt.Errorf("the tests need mmdebstrap, or a cached image at %s: %w", file, err))
		}
	}
	errs = append(errs, systemPrerequisites())
	for _, f := range []string{"/proc/self/ns/user", "/sys/fs/cgroup", "/dev/net/tun"} {
		if _, err := os.Stat(f); err != nil {
			errs = append(errs, fmt.Errorf("the tests need it: %w", err))
		}
	}
	return errors.Join(errs...)
}

func cachedImage() string {
	return filepath.Join(either("BERTH_TEST_CACHE", "/var/cache/berth-test"), "bookworm.tar")
}

// cachedImages are all files that prepare keeps in the cache.
func cachedImages() []string {
	files := []string{cachedImage()}
	for _, r := range initRecipes() {
		files = append(files, r.file())
	}
	return files
}

// prepare builds what is tested, and the images that the tests share:
// dir/debian.tar and dir/tiny, both imported into dir/store, unless only caches are
// wanted.
func prepare(dir string, signals <-chan os.Signal) (binary string, err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case s := <-signals:
			cancel(fmt.Errorf("interrupted: %v", s))
		case <-done:
		}
	}()
	if binary = os.Getenv("BERTH_TEST_BIN"); binary == "" {
		binary = filepath.Join(dir, "bin/berth")
		if err := build(ctx, binary, "github.com/berth-containers/berth/cmd/berth"); err != nil {
			return "", err
		}
	}
	if err := prepareTiny(ctx, dir); err != nil {
		return "", err
	}
	if _, err := os.Stat(cachedImage()); errors.Is(err, fs.ErrNotExist) {
		if err := bootstrap(ctx, binary, dir); err != nil {
			return "", err
		}
	}
	if err := cacheInitImages(ctx); err != nil {
		return "", err
	}
	if err := mininixos.Build(ctx, filepath.Dir(cachedImage())); err != nil {
		return "", err
	}
	if onlyCaches() {
		return binary, nil
	}
	if err := os.Symlink(cachedImage(), debianTar(dir)); err != nil {
		return "", err
	}
	return binary, command(ctx, binary, "--root", filepath.Join(dir, "store"), "image", "import", "dir:"+tinyTree(dir), "tar:"+debianTar(dir))
}

func tinyTree(dir string) string  { return filepath.Join(dir, "tiny") }
func debianTar(dir string) string { return filepath.Join(dir, "debian.tar") }

func build(ctx context.Context, to, what string) error {
	return commandEnv(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-o", to, what)
}

// prepareTiny makes the tree of a guest that is one program under many names.
func prepareTiny(ctx context.Context, dir string) error {
	tree := tinyTree(dir)
	for _, d := range []string{"usr", "sbin", "bin", "root", "tmp", "etc", "srv", "proc", "sys", "dev", "run"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/os-release"), []byte("ID=tiny\nPRETTY_NAME=\"Tiny guest\"\n"), 0o644); err != nil {
		return err
	}
	program := filepath.Join(tree, "sbin/init")
	if err := provideTinyInit(ctx, program); err != nil {
		return err
	}
	for _, name := range []string{"true", "false", "echo", "cat", "write", "sleep", "poweroff", "reboot", "crash"} {
		if err := os.Link(program, filepath.Join(tree, "bin", name)); err != nil {
			return err
		}
	}
	return nil
}

func provideTinyInit(ctx context.Context, to string) error {
	if built := os.Getenv("BERTH_TEST_TINYINIT"); built != "" {
		return command(ctx, "cp", "--", built, to)
	}
	return build(ctx, to, "github.com/berth-containers/berth/test/e2e/tinyinit")
}

// bootstrap has berth make a Debian image, and keeps it in the cache.
func bootstrap(ctx context.Context, binary, dir string) error {
	root := filepath.Join(dir, "bootstrap")
	defer os.RemoveAll(root)
	if err := command(ctx, binary, "--root", root, "image", "import", "debian:bookworm"); err != nil {
		return err
	}
	trees, err := filepath.Glob(filepath.Join(root, "var/lib/berth/images/sha256/*/rootfs"))
	if err != nil || len(trees) != 1 {
		return fmt.Errorf("berth image import debian:bookworm made %q, %w", trees, err)
	}
	if err := os.MkdirAll(filepath.Dir(cachedImage()), 0o755); err != nil {
		return err
	}
	staging := fmt.Sprintf("%s.%d", cachedImage(), os.Getpid())
	defer os.Remove(staging)
	if err := command(ctx, "tar", "-C", trees[0], "--numeric-owner", "--xattrs", "-cf", staging, "."); err != nil {
		return err
	}
	return os.Rename(staging, cachedImage())
}

func command(ctx context.Context, args ...string) error { return commandEnv(ctx, nil, args...) }

func commandEnv(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%q: %w\n%s", args, errors.Join(err, context.Cause(ctx)), said.Bytes())
	}
	return nil
}

// digestTree is a hash over everything that matters of a tree but access
// times: names, modes, owners, modification times, content.
func digestTree(top string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "locks" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(top, path)
		fmt.Fprintf(sum, "%q %o %d %d %d %d %d\n", rel, st.Mode, st.Uid, st.Gid, st.Rdev, st.Size, st.Mtim.Nano())
		switch {
		case info.Mode().IsRegular():
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(sum, f)
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			fmt.Fprintln(sum, to)
			return err
		}
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
