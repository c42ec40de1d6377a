package nix

import (
	"fmt"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// StoreDir is where guests see the store. It is part of what store paths are
// hashed from, and no other is known here.
const StoreDir = container.StoreDir

// StorePath is a path right below StoreDir.
type StorePath = container.StorePath

// ParsePath reads a store path, with or without StoreDir before it.
func ParsePath(s string) (StorePath, error) {
	return container.ParseStorePath(StoreDir + "/" + strings.TrimPrefix(s, StoreDir+"/"))
}

const hashLen = 32 // characters that the base name of a store path begins with

// ParseHash checks the hash of a store path, which is enough to find it in a
// cache.
func ParseHash(s string) (string, error) {
	if len(s) != hashLen {
		return "", fmt.Errorf("the hash of a store path has %d characters, %q has %d", hashLen, clip(s), len(s))
	}
	if err := nixbase32.ValidateString(s); err != nil {
		return "", fmt.Errorf("%q is no hash of a store path: it may have the characters %s", clip(s), nixbase32.Alphabet)
	}
	return s, nil
}

// clip makes a stranger's word fit to be shown.
func clip(s string) string {
	const most = 250
	if len(s) > most {
		s = s[:most] + "..."
	}
	return plain.Text(s)
}
