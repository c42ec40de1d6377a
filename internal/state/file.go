package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// WriteFile replaces the file at path by one with the content b and the mode.
// A reader, or a machine that loses power, sees the old content or the new one.
func WriteFile(path string, b []byte, mode fs.FileMode) error {
	return replace(path, b, mode, true)
}

// WriteRuntimeFile is WriteFile for files that may go with a reboot: it does
// not wait for the disk.
func WriteRuntimeFile(path string, b []byte, mode fs.FileMode) error {
	return replace(path, b, mode, false)
}

// WriteJSON is WriteFile for v as JSON, with mode 0600.
func WriteJSON(path string, v any) error {
	return writeJSON(path, v, true)
}

// WriteRuntimeJSON is WriteRuntimeFile for v as JSON, with mode 0600.
func WriteRuntimeJSON(path string, v any) error {
	return writeJSON(path, v, false)
}

func writeJSON(path string, v any, durable bool) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return replace(path, append(b, '\n'), 0o600, durable)
}

func replace(path string, b []byte, mode fs.FileMode, durable bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, fmt.Sprintf("%s%d-*", halfPrefix, os.Getpid()))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, RemoveFile(f.Name()))
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode))
	if durable && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil || !durable {
		return err
	}
	return SyncDir(dir)
}

// halfPrefix begins the name of a file until it is whole, before the number of
// the process that writes it.
const halfPrefix = ".tmp-"

// Halves are the files in a directory of which a process that has ended has
// written a part.
func Halves(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), halfPrefix)
		number, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if ok && err == nil && pid > 0 && unix.Kill(pid, 0) == unix.ESRCH {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// SyncDir makes renames in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadJSON reads the file at path into v. The error for a file that is not
// there matches fs.ErrNotExist.
func ReadJSON(path string, v any) error {
	b, err := readFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// readFile is os.ReadFile for our small files, of which a list of all containers
// reads hundreds.
func readFile(path string) (b []byte, err error) {
	fd, err := openSmall(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b = make([]byte, 0, 1024) // most are not longer
	for n := 1; n > 0; b = b[:len(b)+n] {
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
		if n, err = unix.Read(fd, b[len(b):cap(b)]); err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
	}
	return b, nil
}

// openSmall opens a file to read it at once. os.Open prepares it for waiting
// too, with five more system calls, which take longer than to read it.
func openSmall(path string) (fd int, err error) {
	for {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR: // as a file system in user space answers
			continue
		}
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
}

// RemoveFile removes the file at path. That it is not there is no error.
func RemoveFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
