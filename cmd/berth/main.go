// Command berth runs full-system Linux containers from a declaration.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/berth-containers/berth/internal/cli"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
