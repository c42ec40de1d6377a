package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/internal/nix"
)

// command is one run of a program of Nix.
type command struct {
	program string // nix, nix-instantiate or nix-store
	args    []string
	dir     string // empty: the working directory
	phase   string // what is said before Nix says something; may be empty
}

// answer is what one has said.
type answer struct {
	out string
	log *log
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// interrupted is how long Nix may take to end after an interrupt.
const interrupted = 10 * time.Second

// run has a program of Nix work. What it says comes as events meanwhile. Where
// it fails, the error is what the log says of it, and the answer is there too.
func (b Builder) run(ctx context.Context, c command) (answer, error) {
	log := newLog(b.Events)
	program, err := nix.Program(c.program)
	if err != nil {
		return answer{log: log}, err
	}
	log.phase(c.phase)
	cmd := exec.CommandContext(ctx, program, slices.Concat(c.args, always())...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interrupted
	cmd.Dir, cmd.Env = c.dir, environment(os.Environ())
	var out bytes.Buffer
	cmd.Stdout = &limited{&out}
	said, err := cmd.StderrPipe()
	if err != nil {
		return answer{log: log}, err
	}
	if err := cmd.Start(); err != nil {
		return answer{log: log}, err
	}
	log.read(said)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = log.failure(fmt.Errorf("%s: %w", c.program, err))
	}
	return answer{out.String(), log}, err
}

// always are arguments that every program of Nix gets.
func always() []string {
	return []string{"--log-format", "internal-json", "--extra-experimental-features", "nix-command flakes"}
}

// environment is that of the programs: like berth's own, but for what is about
// the configuration of the host.
func environment(own []string) []string {
	return append(slices.DeleteFunc(slices.Clone(own), func(v string) bool {
		return strings.HasPrefix(v, "NIXOS_CONFIG=") || strings.HasPrefix(v, "LC_ALL=")
	}), "LC_ALL=C")
}

// limited is a buffer that does not take more than maxAnswer.
type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxAnswer {
		return 0, errors.New("the answer of Nix is too long")
	}
	return l.Buffer.Write(p)
}

// maxLine is the longest line of a log that counts, in bytes.
const maxLine = 1 << 20

// read reads the log until its end.
func (l *log) read(r io.Reader) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			line = nil
		}
		l.line(bytes.TrimRight(line, "\r\n"))
		if err != nil {
			return
		}
	}
}
