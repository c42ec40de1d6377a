package nix

import (
	"fmt"
	"path"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/berth-containers/berth/internal/plain"
)

// StoreDir is where guests see the store. It is part of what store paths are
// hashed from, and no other is known here.
const StoreDir = "/nix/store"

const (
	hashLen = 32  // characters of base 32 that a store path begins with
	nameMax = 211 // bytes of the name behind them, as Nix has it
)

// StorePath is a path right below StoreDir: 32 characters of a hash, a dash and
// a name. Only ParsePath makes one.
type StorePath string

// ParsePath reads a store path, with or without /nix/store before it.
func ParsePath(s string) (StorePath, error) {
	base := strings.TrimPrefix(s, StoreDir+"/")
	hash, name, ok := strings.Cut(base, "-")
	if !ok {
		return "", fmt.Errorf("%q is not a store path such as %s/%s-hello-2.12", clip(s), StoreDir, strings.Repeat("0", hashLen))
	}
	if _, err := ParseHash(hash); err != nil {
		return "", fmt.Errorf("store path %q: %w", clip(s), err)
	}
	if name == "" || len(name) > nameMax || strings.ContainsFunc(name, notInName) {
		return "", fmt.Errorf("store path %q: its name has to be 1 to %d letters, digits and characters of +-._?=", clip(s), nameMax)
	}
	return StorePath(StoreDir + "/" + base), nil
}

func notInName(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("+-._?=", r)
}

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

// Hash are the first characters of p, by which caches know it.
func (p StorePath) Hash() string { return p.Base()[:hashLen] }

// Base is p without StoreDir.
func (p StorePath) Base() string { return path.Base(string(p)) }

// UnmarshalText is ParsePath.
func (p *StorePath) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePath(string(b))
	return err
}

// clip makes a stranger's word fit to be shown.
func clip(s string) string {
	const most = 250
	if len(s) > most {
		s = s[:most] + "..."
	}
	return plain.Text(s)
}
