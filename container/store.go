package container

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// StoreDir is where Nix keeps packages, and where guests see them.
const StoreDir = "/nix/store"

// StorePath is a path right below StoreDir: StoreDir/HASH-NAME.
type StorePath string

// The form of a store path's base name; see StorePath in the manual of Nix.
const (
	storeHashLen = 32
	storeHash    = "0123456789abcdfghijklmnpqrsvwxyz" // base 32 without e, o, t and u
	storeNameMax = 211

	storeShown = 250 // characters of what is no store path that an error shows
)

// ParseStorePath reads a whole store path, with nothing behind its name.
func ParseStorePath(s string) (StorePath, error) {
	base, ok := strings.CutPrefix(s, StoreDir+"/")
	if !ok {
		return "", fmt.Errorf("%.*q is not below %s", storeShown, s, StoreDir)
	}
	if err := checkStoreBase(base); err != nil {
		return "", fmt.Errorf("%.*q is not a store path: %w", storeShown, s, err)
	}
	return StorePath(s), nil
}

func checkStoreBase(base string) error {
	bad := func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("+-._?=", r) }
	hash, name, ok := strings.Cut(base, "-")
	switch {
	case !ok || len(hash) != storeHashLen || strings.Trim(hash, storeHash) != "":
		return fmt.Errorf("a hash of %d characters and - come first", storeHashLen)
	case name == "" || len(name) > storeNameMax || strings.ContainsFunc(name, bad):
		return fmt.Errorf("its name has 1 to %d letters, digits and any of +-._?=", storeNameMax)
	}
	return nil
}

// Base is the path without StoreDir: HASH-NAME.
func (p StorePath) Base() string { return path.Base(string(p)) }

// Hash is what the base name begins with, by which binary caches know the path.
func (p StorePath) Hash() string { return p.Base()[:storeHashLen] }

// Short is the path's name with the first digits of its hash, for people.
func (p StorePath) Short() string {
	if len(p) <= len(StoreDir)+1+storeHashLen {
		return string(p)
	}
	return p.Base()[storeHashLen+1:] + " (" + p.Hash()[:7] + ")"
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *StorePath) UnmarshalText(b []byte) error {
	v, err := ParseStorePath(string(b))
	if err == nil {
		*p = v
	}
	return err
}

// NixInGuest is the Nix that a guest with a system can use.
type NixInGuest string

// The kinds of Nix in a guest.
const (
	NixNone   NixInGuest = ""       // none: its store is read-only
	NixDaemon NixInGuest = "daemon" // the host's, by its socket
	NixOwn    NixInGuest = "own"    // its own, with a store that the guest can add to
)

// DaemonSocket is where the host's Nix daemon listens, and where guests see it.
const DaemonSocket = "/nix/var/nix/daemon-socket/socket"

// WholeStore reports whether the guest sees all of the host's store: what the
// host's daemon builds for it is not in its closure.
func (s Spec) WholeStore() bool { return s.StoreAccess == StoreHost || s.NixInGuest == NixDaemon }

// StoreAccess is how much of the host's store a guest with a system sees.
type StoreAccess string

// The kinds of access.
const (
	StoreClosure StoreAccess = ""     // what its system consists of
	StoreHost    StoreAccess = "host" // all
)

// CachedSystem is a system in a binary cache, in the form of
// cache+URL/HASH-NAME. NAME may be missing: a cache knows paths by their hash.
type CachedSystem struct {
	Cache string // URL
	Name  string // HASH-NAME or HASH
}

const cachedPrefix = "cache+"

// IsCachedSystem reports whether s is meant to be one.
func IsCachedSystem(s string) bool { return strings.HasPrefix(s, cachedPrefix) }

// ParseCachedSystem reads cache+URL/HASH-NAME, with a URL of https, http, file
// or s3.
func ParseCachedSystem(s string) (CachedSystem, error) {
	rest, ok := strings.CutPrefix(s, cachedPrefix)
	u, err := url.Parse(rest)
	switch {
	case !ok || err != nil || u.Opaque != "" || u.Fragment != "" || !slices.Contains([]string{"https", "http", "file", "s3"}, u.Scheme):
		return CachedSystem{}, errors.New("it does not have the form cache+URL/HASH-NAME, with a URL of https, http, file or s3")
	case (u.Host == "") != (u.Scheme == "file"):
		return CachedSystem{}, fmt.Errorf("%s names no cache: https://HOST/HASH-NAME or file:///DIRECTORY/HASH-NAME would", u.Redacted())
	}
	name := path.Base(u.Path)
	if len(name) != storeHashLen || strings.Trim(name, storeHash) != "" {
		if err := checkStoreBase(name); err != nil {
			return CachedSystem{}, fmt.Errorf("%q is not the base name of a store path: %w", name, err)
		}
	}
	u.Path, u.RawPath = strings.TrimSuffix(path.Dir(u.Path), "/"), ""
	if u.Scheme == "file" && u.Path == "" {
		u.Path = "/"
	}
	return CachedSystem{Cache: u.String(), Name: name}, nil
}

// Is reports whether p is the system that s names.
func (s CachedSystem) Is(p StorePath) bool {
	return p != "" && (p.Base() == s.Name || p.Hash() == s.Name)
}
