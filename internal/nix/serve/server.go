package serve

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/internal/nix"
)

// Store is what Serve gives others.
type Store interface {
	// Info is what is known of a path, and whether it is there at all.
	Info(nix.StorePath) (info nix.Info, there bool, err error)
	// Add takes a path that is not there, and reads its archive to the end,
	// which is io.EOF only where that is the one that info says. Errors name
	// the path.
	Add(info nix.Info, archive io.Reader) error
}

// Serve answers who writes r and reads w until that one ends. Paths are taken
// only if write is set, and nobody is asked who vouches for them. An error ends
// the connection: the protocol has no word for it.
func Serve(r io.Reader, w io.Writer, s Store, write bool) error {
	c := &server{newConn(r, w), s, write}
	if err := c.hear(helloClient); err != nil {
		return err
	}
	if err := c.greet(helloServer); err != nil {
		return err
	}
	for {
		command, err := c.number()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.answer(command)
		}
		if err == nil {
			err = c.flush()
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}

type server struct {
	conn
	s     Store
	write bool
}

func (c *server) answer(command uint64) error {
	switch command {
	case commandValid:
		return c.valid()
	case commandInfos:
		return c.infos()
	case commandAdd:
		if !c.write {
			return errors.New("store paths are taken with --write only")
		}
		return c.add()
	default:
		return fmt.Errorf("command %d is not known here: this store is one to bring paths to", command)
	}
}

func (c *server) valid() error {
	for range 2 { // whether to lock, and whether to fetch from elsewhere
		if _, err := c.number(); err != nil {
			return err
		}
	}
	asked, err := c.paths()
	if err != nil {
		return err
	}
	var there []nix.StorePath
	for _, p := range asked {
		_, ok, err := c.s.Info(p)
		if err != nil {
			return err
		}
		if ok {
			there = append(there, p)
		}
	}
	sendList(c.conn, there)
	return nil
}

func (c *server) infos() error {
	asked, err := c.paths()
	if err != nil {
		return err
	}
	for _, p := range asked {
		info, ok, err := c.s.Info(p)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		c.sendWords(string(p), deriver(info))
		sendList(c.conn, info.References)
		c.sendNumbers(uint64(info.NarSize), uint64(info.NarSize)) // to fetch, and unpacked
		c.sendWords(info.NarHash, info.CA)
		sendList(c.conn, info.Signatures)
	}
	c.sendWords("")
	return nil
}

func (c *server) add() error {
	info, err := c.info()
	if err != nil {
		return err
	}
	_, there, err := c.s.Info(info.Path)
	if err != nil {
		return err
	}
	archive := &exactly{r: c.r, left: info.NarSize, hash: sha256.New(), want: info.NarHash}
	if there {
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return fmt.Errorf("%s: %w", info.Path, err)
		}
	} else if err := c.s.Add(info, archive); err != nil {
		return err
	}
	c.sendNumbers(1)
	return nil
}

// info reads what is said of a path before its archive.
func (c *server) info() (nix.Info, error) {
	var w nix.Words
	var err error
	for _, to := range []*string{&w.Path, &w.Deriver, &w.NarHash} {
		if *to, err = c.word(); err != nil {
			return nix.Info{}, err
		}
	}
	if !strings.Contains(w.NarHash, ":") { // as Nix sends it
		w.NarHash = "sha256:" + w.NarHash
	}
	if w.References, err = c.words(); err != nil {
		return nix.Info{}, err
	}
	var numbers [3]uint64 // when it was registered, size, whether it was built there
	for i := range numbers {
		if numbers[i], err = c.number(); err != nil {
			return nix.Info{}, err
		}
	}
	w.NarSize = strconv.FormatUint(numbers[1], 10)
	if w.Signatures, err = c.words(); err != nil {
		return nix.Info{}, err
	}
	if w.CA, err = c.word(); err != nil {
		return nix.Info{}, err
	}
	return w.Parse()
}

// exactly reads so many bytes, and has at their end an error where they are not
// the right ones.
type exactly struct {
	r    io.Reader
	left int64
	hash hash.Hash
	want string
}

func (e *exactly) Read(b []byte) (int, error) {
	if e.left == 0 {
		if got := nix.FormatHash(e.hash.Sum(nil)); got != e.want {
			return 0, fmt.Errorf("its archive has the hash %s, not %s", got, e.want)
		}
		return 0, io.EOF
	}
	n, err := e.r.Read(b[:min(int64(len(b)), e.left)])
	e.hash.Write(b[:n])
	e.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
