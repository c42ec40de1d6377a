package nix

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"
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
	f, err := readFields(string(text))
	if err == nil {
		var n NarInfo
		if n, err = f.validate(); err == nil {
			return n, nil
		}
	}
	return NarInfo{}, fmt.Errorf("the .narinfo file is not well-formed: %w", err)
}

// fields are the values of a .narinfo file by their keys; a signature is under
// keySignature, of which there may be several.
type fields map[string][]string

const keySignature = "Sig"

// readFields reads lines "KEY: VALUE". Keys that are not known here are left
// out, as Nix does, and one that says two things is an error.
func readFields(text string) (fields, error) {
	known := []string{"StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Deriver", "CA", keySignature}
	f := fields{}
	for line := range strings.Lines(text) {
		if len(line) >= maxLine {
			return nil, fmt.Errorf("a line has more than %d bytes", maxLine)
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || !slices.Contains(known, key) {
			continue
		}
		if f[key] != nil && key != keySignature {
			return nil, fmt.Errorf("it says %s twice", key)
		}
		f[key] = append(f[key], strings.TrimSpace(value))
	}
	return f, nil
}

// get is the value of a key that has one at most.
func (f fields) get(key string) string {
	if v := f[key]; v != nil {
		return v[0]
	}
	return ""
}

func (f fields) validate() (n NarInfo, err error) {
	n.URL = f.get("URL")
	n.Compression = cmp.Or(f.get("Compression"), "bzip2") // what it meant before it was said
	n.Info, err = Words{Path: f.get("StorePath"), NarHash: f.get("NarHash"), NarSize: f.get("NarSize"), References: strings.Fields(f.get("References")),
		Deriver: f.get("Deriver"), CA: f.get("CA"), Signatures: f[keySignature]}.Parse()
	if err != nil {
		return n, err
	}
	if n.URL == "" {
		return n, errors.New("URL is missing")
	}
	if file := f.get("FileHash"); file != "" {
		if n.FileHash, err = formatHash(file); err != nil {
			return n, fmt.Errorf("FileHash: %w", err)
		}
	}
	if size := f.get("FileSize"); size != "" && size != "0" {
		if n.FileSize, err = parseSize(size); err != nil {
			return n, fmt.Errorf("FileSize: %w", err)
		}
	}
	return n, nil
}

// Words are an Info as somebody else says it.
type Words struct {
	Path       string // whole
	NarHash    string // with its algorithm, in any encoding
	NarSize    string // decimal
	References []string
	Deriver    string // may be empty, or "unknown-deriver"
	CA         string
	Signatures []string
}

// Parse checks that words are well-formed. Nobody vouches for what they say.
func (w Words) Parse() (i Info, err error) {
	i.CA = w.CA
	if i.Path, err = container.ParseStorePath(w.Path); err != nil {
		return i, fmt.Errorf("StorePath: %w", err)
	}
	if i.References, err = parsePaths(w.References); err != nil {
		return i, err
	}
	if w.Deriver != "" && w.Deriver != "unknown-deriver" {
		if _, err := ParsePath(w.Deriver); err != nil {
			return i, fmt.Errorf("deriver: %w", err)
		}
		i.Deriver = w.Deriver
	}
	if i.NarHash, err = formatHash(w.NarHash); err != nil {
		return i, fmt.Errorf("NarHash: %w", err)
	}
	if i.NarSize, err = parseSize(w.NarSize); err != nil {
		return i, fmt.Errorf("NarSize: %w", err)
	}
	return i, i.sign(w.Signatures)
}

// sign puts signatures into i, which are well-formed.
func (i *Info) sign(texts []string) error {
	if len(texts) > maxSignatures {
		return fmt.Errorf("it has %d signatures, more than %d", len(texts), maxSignatures)
	}
	for _, t := range texts {
		s, err := signature.ParseSignature(t)
		if err != nil {
			return fmt.Errorf("%q is not a signature", clip(t))
		}
		i.Signatures = append(i.Signatures, s.String())
	}
	return nil
}

func parseSize(text string) (int64, error) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size < 1 || size > MaxNarSize {
		return 0, fmt.Errorf("%q is not a number of bytes from 1 to %d", clip(text), int64(MaxNarSize))
	}
	return size, nil
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

// formatHash writes a hash as signatures have it, whatever encoding it is in.
// Nothing but SHA-256 is known for archives.
func formatHash(text string) (string, error) {
	h, err := nixhash.ParseAny(text, nil)
	if err != nil || h.Algo() != nixhash.SHA256 || len(h.Digest()) != sha256.Size { // base 64 may be a byte too long
		return "", fmt.Errorf("%q is not a SHA-256 such as sha256:1b4s…", clip(text))
	}
	return h.Format(nixhash.NixBase32, true), nil
}

// FormatHash writes a SHA-256 as Info has it.
func FormatHash(sum []byte) string {
	return nixhash.MustNewHash(nixhash.SHA256, sum).Format(nixhash.NixBase32, true)
}

// Text is the .narinfo file for n.
func (n NarInfo) Text() string {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s: %s\n", key, value) }
	line("StorePath", string(n.Path))
	line("URL", n.URL)
	line("Compression", n.Compression)
	if n.FileHash != "" && n.FileSize != 0 {
		line("FileHash", n.FileHash)
		line("FileSize", strconv.FormatInt(n.FileSize, 10))
	}
	line("NarHash", n.NarHash)
	line("NarSize", strconv.FormatInt(n.NarSize, 10))
	line("References", n.referenceNames(" ", StorePath.Base))
	if n.Deriver != "" {
		line("Deriver", n.Deriver)
	}
	for _, s := range n.Signatures {
		line(keySignature, s)
	}
	if n.CA != "" {
		line("CA", n.CA)
	}
	return b.String()
}

// WriteRegistration writes i as nix-store --load-db reads it: the path, the hash
// in hexadecimal digits, the size, the deriver, and how many references, which
// follow; each on a line.
func (i Info) WriteRegistration(w io.Writer) error {
	h, err := nixhash.ParseAny(i.NarHash, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", i.Path, err)
	}
	deriver := i.Deriver
	if deriver != "" {
		deriver = StoreDir + "/" + strings.TrimPrefix(deriver, StoreDir+"/")
	}
	_, err = fmt.Fprintf(w, "%s\n%x\n%d\n%s\n%d\n", i.Path, h.Digest(), i.NarSize, deriver, len(i.References))
	for _, r := range i.References {
		_, err2 := fmt.Fprintf(w, "%s\n", r)
		err = errors.Join(err, err2)
	}
	return err
}

// fingerprint is what signatures are made of: "1;PATH;HASH;SIZE;REFERENCE,…".
func (i Info) fingerprint() string {
	return fmt.Sprintf("1;%s;%s;%d;%s", i.Path, i.NarHash, i.NarSize, i.referenceNames(",", func(p StorePath) string { return string(p) }))
}

func (i Info) referenceNames(between string, name func(StorePath) string) string {
	var names []string
	for _, r := range i.References {
		names = append(names, name(r))
	}
	return strings.Join(names, between)
}
