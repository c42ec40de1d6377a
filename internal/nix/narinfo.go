package nix

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/nixhash"

	"github.com/berth-containers/berth/container"
)

// Bounds on what a cache may say, far beyond anything that is of use.
const (
	MaxNarInfo    = 4 << 20   // bytes of a .narinfo file
	MaxNarSize    = 256 << 30 // bytes of one archive
	maxReferences = 20_000
	maxSignatures = 100
	maxLine       = 1 << 20 // bytes; what the library reads
)

// Info is what is known of a store path, and what signatures vouch for.
type Info struct {
	Path       StorePath   `json:"path"`
	NarHash    string      `json:"narHash"`    // such as "sha256:1b4s…", in Nix's base 32
	NarSize    int64       `json:"narSize"`    // bytes of the archive
	References []StorePath `json:"references"` // sorted; Path itself may be among them
	Deriver    string      `json:"deriver,omitempty"`
	CA         string      `json:"ca,omitempty"` // content address, where it has one
	Signatures []string    `json:"signatures,omitempty"`
}

// NarInfo is an Info, and where and how a cache has the archive.
type NarInfo struct {
	Info
	URL         string // absolute, or relative to the cache
	Compression string // such as "xz" and "none"; never empty
	FileHash    string // of the compressed file, like NarHash; may be empty
	FileSize    int64  // bytes; 0 where it is not said
}

// ParseNarInfo reads a .narinfo file. All paths, hashes and sizes in the
// result are well-formed; nobody vouches for them yet.
func ParseNarInfo(r io.Reader) (NarInfo, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxNarInfo+1))
	if err != nil {
		return NarInfo{}, err
	}
	if len(text) > MaxNarInfo {
		return NarInfo{}, fmt.Errorf("the .narinfo file has more than %d MiB", MaxNarInfo>>20)
	}
	if text, err = knownLines(text); err != nil {
		return NarInfo{}, err
	}
	raw, err := narinfo.Parse(bytes.NewReader(text))
	if err != nil {
		return NarInfo{}, fmt.Errorf("the .narinfo file is not well-formed: %s", clip(err.Error()))
	}
	n, err := validate(raw)
	if err != nil {
		return NarInfo{}, fmt.Errorf("the .narinfo file is not well-formed: %w", err)
	}
	return n, nil
}

// knownLines leaves out the lines with keys that are not known here, as Nix
// does, and refuses a key that says two things.
func knownLines(text []byte) ([]byte, error) {
	seen := map[string]bool{}
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		if len(line) >= maxLine {
			return nil, fmt.Errorf("the .narinfo file has a line of more than %d bytes", maxLine)
		}
		known := slices.Contains([]string{"StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Deriver", "System", "CA"}, key)
		if !ok || !known && key != "Sig" {
			continue
		}
		if known && seen[key] {
			return nil, fmt.Errorf("the .narinfo file says %s twice", key)
		}
		seen[key] = true
		fmt.Fprintf(&out, "%s: %s\n", key, strings.TrimSpace(value))
	}
	return out.Bytes(), nil
}

func validate(raw *narinfo.NarInfo) (n NarInfo, err error) {
	n.URL, n.Compression, n.Deriver, n.CA = raw.URL, raw.Compression, raw.Deriver, raw.CA
	if n.Path, err = container.ParseStorePath(raw.StorePath); err != nil {
		return n, fmt.Errorf("StorePath: %w", err)
	}
	if n.References, err = parsePaths(raw.References); err != nil {
		return n, err
	}
	if raw.Deriver != "" {
		if _, err := ParsePath(raw.Deriver); err != nil {
			return n, fmt.Errorf("deriver: %w", err)
		}
	}
	if raw.URL == "" {
		return n, errors.New("URL is missing")
	}
	if raw.NarSize == 0 || raw.NarSize > MaxNarSize || raw.FileSize > MaxNarSize {
		return n, fmt.Errorf("the sizes %d (NarSize) and %d (FileSize) are not between 1 and %d bytes", raw.NarSize, raw.FileSize, int64(MaxNarSize))
	}
	n.NarSize, n.FileSize = int64(raw.NarSize), int64(raw.FileSize)
	if raw.NarHash == nil {
		return n, errors.New("NarHash is missing")
	}
	if n.NarHash, err = formatHash(raw.NarHash); err != nil {
		return n, err
	}
	if raw.FileHash != nil {
		if n.FileHash, err = formatHash(raw.FileHash); err != nil {
			return n, err
		}
	}
	if len(raw.Signatures) > maxSignatures {
		return n, fmt.Errorf("it has %d signatures, more than %d", len(raw.Signatures), maxSignatures)
	}
	for _, s := range raw.Signatures {
		n.Signatures = append(n.Signatures, s.String())
	}
	return n, nil
}

func parsePaths(names []string) ([]StorePath, error) {
	if len(names) > maxReferences {
		return nil, fmt.Errorf("it has %d references, more than %d", len(names), maxReferences)
	}
	out := []StorePath{}
	for _, name := range names {
		p, err := ParsePath(name)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// formatHash writes a hash as signatures have it. Nothing but SHA-256 is
// known for archives.
func formatHash(h *nixhash.HashWithEncoding) (string, error) {
	if h.Algo() != nixhash.SHA256 {
		return "", fmt.Errorf("the hash %s is not SHA-256", clip(h.String()))
	}
	return h.Format(nixhash.NixBase32, true), nil
}

// FormatHash writes a SHA-256 as Info has it.
func FormatHash(sum []byte) string {
	return nixhash.MustNewHash(nixhash.SHA256, sum).Format(nixhash.NixBase32, true)
}

// Text is the .narinfo file for n.
func (n NarInfo) Text() (string, error) {
	raw, err := n.raw()
	if err != nil {
		return "", err
	}
	return raw.String(), nil
}

// raw is n as the library has it.
func (n NarInfo) raw() (*narinfo.NarInfo, error) {
	raw := &narinfo.NarInfo{
		StorePath: string(n.Path), URL: n.URL, Compression: n.Compression,
		FileSize: uint64(n.FileSize), NarSize: uint64(n.NarSize), Deriver: n.Deriver, CA: n.CA,
	}
	var err error
	if raw.NarHash, err = nixhash.ParseAny(n.NarHash, nil); err != nil {
		return nil, err
	}
	if n.FileHash != "" {
		if raw.FileHash, err = nixhash.ParseAny(n.FileHash, nil); err != nil {
			return nil, err
		}
	}
	for _, r := range n.References {
		raw.References = append(raw.References, r.Base())
	}
	raw.Signatures = signaturesOf(n.Info)
	return raw, nil
}
