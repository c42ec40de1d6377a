package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	f, err := os.CreateTemp(dir, ".tmp-*")
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
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// RemoveFile removes the file at path. That it is not there is no error.
func RemoveFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
