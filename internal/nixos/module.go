package nixos

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// moduleHead and moduleTail are around definitions that make a module.
const (
	moduleHead = "# nixos-container update builds the container from this file.\n{ config, lib, pkgs, ... }:\nwith lib;\n{\n"
	moduleTail = "\n}\n"
)

// StageModule writes a module with definitions beside Module, from where it can
// be built, and returns the path. TakeModule puts it there.
func (c Place) StageModule(definitions string) (string, error) {
	return c.stageModule([]byte(moduleHead + definitions + moduleTail))
}

func (c Place) stageModule(text []byte) (string, error) {
	staged := c.stagedModule()
	if err := os.MkdirAll(filepath.Dir(staged), 0o755); err != nil {
		return "", err
	}
	return staged, replace(staged, text)
}

func (c Place) stagedModule() string {
	return filepath.Join(filepath.Dir(c.Module), "."+string(c.Name)+".nix")
}

// TakeModule makes a staged module the container's, if there is one.
func (c Place) TakeModule() error {
	err := os.Rename(c.stagedModule(), c.Module)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, state.SyncDir(filepath.Dir(c.Module)))
}

// DropModule removes a staged module that is not to be the container's.
func (c Place) DropModule() error { return state.RemoveFile(c.stagedModule()) }

// guestModule is where nixos-container keeps a module: within the guest's
// reach.
const guestModule = "etc/nixos/configuration.nix"

// GuestModule is the path of that file.
func (c Place) GuestModule() string { return filepath.Join(c.Root, guestModule) }

// StageGuestModule stages the module that lies in the guest's root. The error
// where there is none matches fs.ErrNotExist.
func (c Place) StageGuestModule() (string, error) {
	text, err := c.ReadGuestFile(guestModule)
	if err != nil {
		return "", err
	}
	return c.stageModule(text)
}

// maxGuestFile is the most of a guest's file that is read, in bytes.
const maxGuestFile = 1 << 20

// ReadGuestFile reads a regular file of the guest's root, without leaving that.
// The error where there is none matches fs.ErrNotExist.
func (c Place) ReadGuestFile(name string) ([]byte, error) {
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, &container.Error{Subject: filepath.Join(c.Root, name), Err: errors.New("it is not a regular file")})
	}
	return io.ReadAll(io.LimitReader(f, maxGuestFile))
}

// HasModule reports whether the container has a module on the host.
func (c Place) HasModule() bool {
	_, err := os.Stat(c.Module)
	return err == nil
}

// GuestDiffers reports whether there is a module in the guest's root, and
// another one on the host.
func (c Place) GuestDiffers() bool {
	theirs, err := c.ReadGuestFile(guestModule)
	if err != nil {
		return false
	}
	ours, err := os.ReadFile(c.Module)
	return err == nil && !bytes.Equal(ours, theirs)
}
