package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// interruptible is a context that SIGINT and SIGTERM end. They are caught from
// when it is first asked for its end, as whatever changes something does;
// until then they end the process. To catch them starts a thread, which takes
// a twentieth of the time of a command that only looks.
type interruptible struct {
	context.Context
	catch func()
}

func newInterruptible() interruptible {
	ctx, stop := context.WithCancel(context.Background())
	return interruptible{ctx, sync.OnceFunc(func() {
		go func() {
			ends := make(chan os.Signal, 1)
			signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM) // until the process ends: to stop costs two changes of threads for each
			<-ends
			stop()
		}()
	})}
}

// Done implements context.Context.
func (c interruptible) Done() <-chan struct{} {
	c.catch()
	return c.Context.Done()
}

// Err implements context.Context.
func (c interruptible) Err() error {
	c.catch()
	return c.Context.Err()
}
