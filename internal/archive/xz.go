package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/ulikunitz/xz"
)

func newXZ(ctx context.Context, r io.Reader, program string) (io.ReadCloser, error) {
	if program != "" {
		return startXZ(ctx, r, program)
	}
	d, err := xz.NewReader(newXZGuard(r))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(d), nil
}

// xzProcess is a running xz(1).
type xzProcess struct {
	cmd    *exec.Cmd
	stdout io.Reader
	stderr *bytes.Buffer
	stop   context.CancelFunc
	source chan error // gets the error of reading the input, or nil, once
	err    error      // of the end; nil while it runs
}

func startXZ(ctx context.Context, r io.Reader, program string) (io.ReadCloser, error) {
	ctx, stop := context.WithCancel(ctx)
	p := &xzProcess{stop: stop, stderr: new(bytes.Buffer), source: make(chan error, 1)}
	limit := fmt.Sprintf("--memlimit-decompress=%d", maxWindow+maxWindow/8)
	p.cmd = exec.CommandContext(ctx, program, "--decompress", "--stdout", "--quiet", "--threads=0", limit)
	p.cmd.Stderr = p.stderr
	p.cmd.Env = []string{"LC_ALL=C"} // without the user's XZ_OPT
	stdin, err := p.cmd.StdinPipe()
	if err == nil {
		p.stdout, err = p.cmd.StdoutPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		stop()
		return nil, err
	}
	// Not by Cmd.Stdin: Wait would wait for a source that has stalled.
	go func() {
		src := &failing{r: r}
		io.Copy(stdin, src) // where writing fails, xz itself says why
		p.source <- src.err
		stdin.Close()
	}()
	return p, nil
}

// failing remembers the error of a reader.
type failing struct {
	r   io.Reader
	err error // nil at its end
}

func (f *failing) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// Read gives io.EOF only once xz has found its checksums right.
func (p *xzProcess) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.stdout.Read(b)
	if err != nil {
		p.end(err)
		return n, p.err
	}
	return n, nil
}

func (p *xzProcess) end(err error) {
	waited := p.cmd.Wait()
	p.stop()
	select {
	case failed := <-p.source:
		if failed != nil {
			p.err = failed
			return
		}
	default:
	}
	text := strings.TrimSpace(p.stderr.String())
	if _, rest, ok := strings.Cut(text, "(stdin): "); ok {
		text, _, _ = strings.Cut(rest, "\n")
	}
	switch {
	case waited == nil:
		p.err = err
	case strings.Contains(text, "Unexpected end of input"):
		p.err = io.ErrUnexpectedEOF
	case text != "":
		p.err = errors.New(clip(text))
	default:
		p.err = waited
	}
}

// Close ends xz if it is still running.
func (p *xzProcess) Close() error {
	p.stop()
	if p.err == nil {
		p.end(errors.New("closed"))
	}
	return nil
}
