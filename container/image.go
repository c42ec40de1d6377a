package container

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ImageKind says how an image reference is turned into a root file system.
type ImageKind string

// The kinds of images.
const (
	ImageDir    ImageKind = "dir"    // a directory of the host, copied
	ImageTar    ImageKind = "tar"    // a tar file of the host, plain or compressed
	ImageDebian ImageKind = "debian" // a Debian suite, bootstrapped from the host's mirror
)

// debianSuites are the suites that berth bootstraps.
var debianSuites = []string{"bookworm", "trixie"}

// ImageRef is where an image comes from: dir:/PATH, tar:/PATH, debian:SUITE.
type ImageRef struct {
	Kind ImageKind
	Arg  string // an absolute, clean path, or a suite
}

// ParseImageRef reads the form KIND:ARG.
func ParseImageRef(s string) (ImageRef, error) {
	kind, arg, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return ImageRef{}, fmt.Errorf("%q does not say its kind: write dir:/PATH, tar:/PATH or debian:SUITE", s)
	case arg == "":
		return ImageRef{}, fmt.Errorf("%q names nothing after %q", s, kind+":")
	}
	r := ImageRef{Kind: ImageKind(kind), Arg: arg}
	switch r.Kind {
	case ImageDir, ImageTar:
		if !filepath.IsAbs(arg) {
			return ImageRef{}, fmt.Errorf("%q is not an absolute path", arg)
		}
		p, err := ParsePath(filepath.Clean(arg))
		if err != nil {
			return ImageRef{}, err
		}
		r.Arg = p
	case ImageDebian:
		if !slices.Contains(debianSuites, arg) {
			return ImageRef{}, fmt.Errorf("debian has no suite %q here: write %s", arg, strings.Join(debianSuites, " or "))
		}
	default:
		return ImageRef{}, fmt.Errorf("%q is of none of the kinds dir, tar and debian", s)
	}
	return r, nil
}

// String is the form that ParseImageRef reads; "" for the zero reference.
func (r ImageRef) String() string {
	if r.IsZero() {
		return ""
	}
	return string(r.Kind) + ":" + r.Arg
}

// IsZero reports whether no image is named.
func (r ImageRef) IsZero() bool { return r == ImageRef{} }

// MarshalText implements encoding.TextMarshaler.
func (r ImageRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *ImageRef) UnmarshalText(b []byte) error {
	v, err := ParseImageRef(string(b))
	if err == nil {
		*r = v
	}
	return err
}

// Digest names an image by its content: "sha256:" and 64 hexadecimal digits.
type Digest string

// ParseDigest reads a whole digest, with or without "sha256:".
func ParseDigest(s string) (Digest, error) {
	h := strings.TrimPrefix(s, "sha256:")
	if b, err := hex.DecodeString(h); err != nil || len(b) != 32 || h != strings.ToLower(h) {
		return "", fmt.Errorf("%q is not a SHA-256 digest", s)
	}
	return Digest("sha256:" + h), nil
}

// Hex is the digest without its algorithm.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// Short is the first 12 digits, for people.
func (d Digest) Short() string { return d.Hex()[:min(12, len(d.Hex()))] }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	if err == nil {
		*d = v
	}
	return err
}
