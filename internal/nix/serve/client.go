package serve

import (
	"errors"
	"fmt"
	"io"

	"github.com/berth-containers/berth/internal/nix"
)

// Client is the end that has paths to bring.
type Client struct{ conn }

// NewClient begins to speak with who reads w and writes r.
func NewClient(r io.Reader, w io.Writer) (*Client, error) {
	c := &Client{newConn(r, w)}
	if err := c.greet(helloClient); err != nil {
		return nil, err
	}
	return c, c.hear(helloServer)
}

// Valid are those of paths that the other end has, and keeps while the
// connection lasts.
func (c *Client) Valid(paths []nix.StorePath) (map[nix.StorePath]bool, error) {
	const lock, substitute = 1, 0
	c.sendNumbers(commandValid, lock, substitute)
	sendList(c.conn, paths)
	if err := c.flush(); err != nil {
		return nil, err
	}
	there, err := c.paths()
	if err != nil {
		return nil, err
	}
	out := map[nix.StorePath]bool{}
	for _, p := range there {
		out[p] = true
	}
	return out, nil
}

// Add sends a path, all of whose references the other end has or was sent. The
// archive is what dump writes. Added has to be called for each Add, and may be
// in another goroutine, so that nobody waits for the way there and back.
func (c *Client) Add(info nix.Info, dump func(io.Writer) error) error {
	c.sendNumbers(commandAdd)
	c.sendWords(string(info.Path), deriver(info), info.NarHash)
	sendList(c.conn, info.References)
	const registered, ultimate = 0, 0
	c.sendNumbers(registered, uint64(info.NarSize), ultimate)
	sendList(c.conn, info.Signatures)
	c.sendWords(info.CA)
	counted := &counter{w: c.w}
	if err := dump(counted); err != nil {
		return err
	}
	if counted.n != info.NarSize {
		return fmt.Errorf("%s: its archive has %d bytes, not %d: somebody has changed the store", info.Path, counted.n, info.NarSize)
	}
	return c.flush()
}

// Added waits until the other end has what the next Add has sent.
func (c *Client) Added() error {
	n, err := c.number()
	if err == nil && n != 1 {
		err = errors.New("the other end has not taken it")
	}
	return err
}

// deriver is a whole path, as the protocol has it.
func deriver(info nix.Info) string {
	if p, err := nix.ParsePath(info.Deriver); err == nil {
		return string(p)
	}
	return ""
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
