package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/berth-containers/berth"
	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

func (a *app) logsCmd() *cobra.Command {
	var s selection
	var follow, raw bool
	var lines int
	c := &cobra.Command{
		Use: "logs NAME...", Short: "Show what guests wrote to their consoles", ValidArgsFunction: a.complete,
		RunE: a.onMany(&s, func(ctx context.Context, h *berth.Host, names []container.Name) error {
			p := &logPrinter{out: a.Out, raw: raw, prefix: len(names) > 1}
			return p.all(ctx, h, names, lines, follow)
		}),
	}
	s.flags(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	c.Flags().IntVarP(&lines, "lines", "n", -1, "only the last `N` lines")
	c.Flags().BoolVar(&raw, "raw", false, "do not take control characters out")
	return c
}

// logPrinter prints the logs of one or more containers, line by line.
type logPrinter struct {
	mu     sync.Mutex
	out    io.Writer
	raw    bool
	prefix bool // put the container's name before each line
}

func (p *logPrinter) all(ctx context.Context, h *berth.Host, names []container.Name, lines int, follow bool) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, n := range names {
		one := func() {
			errs[i] = container.Named(n, h.Console(ctx, n, lines, follow, func(line []byte) { p.line(n, line) }))
		}
		if follow {
			wg.Go(one)
		} else {
			one()
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (p *logPrinter) line(n container.Name, line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.raw {
		line = []byte(plain.Coloured(string(line)))
	}
	if p.prefix {
		fmt.Fprintf(p.out, "%s  ", n)
	}
	fmt.Fprintf(p.out, "%s\n", line)
}
