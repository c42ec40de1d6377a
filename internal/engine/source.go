package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// supported refuses a spec with keys that this berth cannot carry out yet.
func supported(n container.Name, s container.Spec) error {
	keys := container.Unsupported(s)
	if len(keys) == 0 {
		return nil
	}
	return &container.Error{Subject: string(n), Err: fmt.Errorf("not yet supported: %s", strings.Join(keys, ", ")),
		Hint: "leave these keys out; the README tells what works today"}
}

// makeSources makes the directories that a spec asks for on the host.
func makeSources(s container.Spec) error {
	for _, target := range slices.Sorted(maps.Keys(s.BindMounts)) {
		b := s.BindMounts[target]
		if _, err := os.Stat(b.HostPath); !b.Create || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(b.HostPath, 0o755); err != nil {
			return fmt.Errorf("bindMounts.%s: %w", target, err)
		}
	}
	return nil
}

// checkSources makes sure that all the files of the host that a spec names are
// there, but for the directories that it asks for.
func checkSources(s container.Spec) error {
	for _, target := range slices.Sorted(maps.Keys(s.BindMounts)) {
		b := s.BindMounts[target]
		_, err := os.Stat(b.HostPath)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist) && b.Create:
		case errors.Is(err, fs.ErrNotExist):
			return &container.Error{Err: fmt.Errorf("bindMounts.%s: %s does not exist on the host", target, b.HostPath),
				Hint: "make it, or set create: true to have a directory made"}
		default:
			return fmt.Errorf("bindMounts.%s: %w", target, err)
		}
	}
	if s.NetworkNamespace != "" {
		_, err := os.Stat(s.NetworkNamespace)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return &container.Error{Err: fmt.Errorf("networkNamespace: %s does not exist on the host", s.NetworkNamespace), Hint: "ip netns add NAME makes one in /run/netns"}
		case err != nil:
			return fmt.Errorf("networkNamespace: %w", err)
		}
	}
	for _, c := range s.Credentials {
		if err := readable(c.Path); err != nil {
			return fmt.Errorf("credentials.%s: %w", c.ID, err)
		}
	}
	for _, d := range s.AllowedDevices {
		if strings.HasPrefix(d.Node, "/") {
			if _, err := os.Stat(d.Node); err != nil {
				return fmt.Errorf("allowedDevices: %w", err)
			}
		}
	}
	return nil
}

// sourceNotes tell what keeps a step's container from starting. The file may be
// there by the time that it does.
func sourceNotes(c container.Spec, s container.Step) []string {
	if !s.Start && !s.Restart {
		return nil
	}
	err := checkSources(c)
	if err == nil {
		return nil
	}
	return []string{fmt.Sprintf("as things are now it does not start: %v", err)}
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
