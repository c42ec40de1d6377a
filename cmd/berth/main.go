package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/supervise/embedded"
)

func main() {
	root := os.Args[2]
	s, err := embedded.New(state.Paths{Root: root})
	if err != nil {
		panic(err)
	}
	n := container.Name(os.Args[len(os.Args)-1])
	switch os.Args[3] {
	case "shim":
		err = s.RunShim(n, os.NewFile(3, "report"))
	case "run":
		err = s.Launch(n, os.Args[6])
	case "start":
		t := time.Now()
		err = s.Start(context.Background(), n)
		fmt.Println(time.Since(t))
		o, err2 := s.Await(context.Background(), n, func(o supervise.Observation) bool { return o.State == container.Running || !o.State.Alive() })
		fmt.Println(o, err2, time.Since(t))
	case "stop":
		t := time.Now()
		err = s.Stop(context.Background(), n, 10*time.Second)
		fmt.Println(time.Since(t))
	case "exec":
		n = container.Name(os.Args[4])
		o, _ := s.Observe(n)
		g, err := guest.Open(o.Leader, o.Started, s.Cgroups)
		if err != nil {
			panic(err)
		}
		code, err := g.Exec(context.Background(), guest.Command{Args: os.Args[5:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Terminal: os.Getenv("T") != ""})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	case "obs":
		fmt.Println(s.Observe(n))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
