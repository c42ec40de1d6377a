package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/nix-community/go-nix/pkg/nar"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/berth-containers/berth/internal/nix"
	"github.com/berth-containers/berth/internal/nix/cache"
)

// packages are a closure that looks like one of NixOS, in number and size of
// its files and in how well they compress, in a binary cache and in a tar file.
type packages struct {
	dir, cache, tar string
	key             string // public
	top             nix.StorePath
	signer          *nix.Signer
}

const (
	packagesSize  = 1 << 30
	packagesCount = 200
	typicalFile   = 6 << 10 // bytes, the median
	largestFile   = 16 << 20
)

func (l *lab) newPackages(ctx context.Context) (*packages, error) {
	p := &packages{dir: l.path("packages")}
	p.cache, p.tar = filepath.Join(p.dir, "cache"), filepath.Join(p.dir, "packages.tar.zst")
	trees := filepath.Join(p.dir, "trees")
	if err := os.MkdirAll(trees, 0o755); err != nil {
		return nil, err
	}
	secret, public, err := signature.GenerateKeypair("bench-1", nil)
	if err != nil {
		return nil, err
	}
	p.key = public.String()
	if p.signer, err = nix.ParseSigner(secret.String()); err != nil {
		return nil, err
	}
	f, err := cache.Fill(p.cache)
	if err != nil {
		return nil, err
	}
	g := newGenerator()
	var all []nix.StorePath
	for i := range packagesCount {
		hash := sha256.Sum256(fmt.Append(nil, i))
		path, err := nix.ParsePath(nixbase32.EncodeToString(hash[:20]) + fmt.Sprintf("-package-%d", i))
		if err != nil {
			return nil, err
		}
		tree := filepath.Join(trees, path.Base())
		if err := g.tree(tree, packagesSize/packagesCount); err != nil {
			return nil, err
		}
		refs := all
		if i < packagesCount-1 {
			refs = some(all)
		}
		if err := p.put(f, tree, path, refs); err != nil {
			return nil, err
		}
		all, p.top = append(all, path), path
	}
	_, _, err = l.timed(ctx, "sh", "-c", fmt.Sprintf("tar -C %s -c . | zstd -q -T0 -o %s && rm -r %[1]s", trees, p.tar))
	return p, err
}

// some are a few of all, so that a closure has few levels.
func some(all []nix.StorePath) (out []nix.StorePath) {
	for _, part := range []int{2, 3, 5} {
		if n := len(all) / part; n > 0 && !slices.Contains(out, all[n]) {
			out = append(out, all[n])
		}
	}
	return out
}

// put writes a tree into the cache.
func (p *packages) put(f *cache.Filler, tree string, path nix.StorePath, refs []nix.StorePath) error {
	var archive bytes.Buffer
	if err := nar.DumpPath(&archive, tree); err != nil {
		return err
	}
	sum := sha256.Sum256(archive.Bytes())
	info := nix.Info{Path: path, NarHash: nix.FormatHash(sum[:]), NarSize: int64(archive.Len()), References: slices.Sorted(slices.Values(refs))}
	if err := p.signer.Sign(&info); err != nil {
		return err
	}
	_, err := f.Put(info, "zstd", 1, func(w io.Writer) error {
		_, err := w.Write(archive.Bytes())
		return err
	})
	return err
}

// generator makes files, always the same ones: of words that come again, which
// compress about as programs do, to a third.
type generator struct {
	random *rand.Rand
	words  [][]byte
}

func newGenerator() *generator {
	g := &generator{random: rand.New(rand.NewPCG(1, 2))}
	for range 1 << 14 {
		word := make([]byte, 3+g.random.IntN(8))
		for i := range word {
			word[i] = byte(g.random.Uint32())
		}
		g.words = append(g.words, word)
	}
	return g
}

// tree makes a directory with files that have size bytes in all.
func (g *generator) tree(dir string, size int) error {
	for n := 0; size > 0; n++ {
		length := min(size, largestFile, int(typicalFile*math.Exp(2*g.random.NormFloat64())))
		size -= length
		file := filepath.Join(dir, fmt.Sprintf("lib/%d/file-%d", n/30, n))
		mode := os.FileMode(0o444)
		if n%8 == 0 {
			mode = 0o555
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, g.text(length), mode)); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) text(length int) []byte {
	b := make([]byte, 0, length+16)
	for len(b) < length {
		b = append(b, g.words[int(math.Abs(g.random.NormFloat64())*1000)%len(g.words)]...)
	}
	return b[:length]
}
