package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
)

// Start starts cmd, as (*exec.Cmd).Start does, in the group from its birth.
//
// To move a process the kernel holds up every fork of the machine and waits
// for a grace period, some 10 ms. It needs neither to start a process in a v2
// group nor to move the calling thread alone, which v1 allows: the thread
// enters the group, starts cmd, and goes back.
func (g Group) Start(cmd *exec.Cmd) (err error) {
	runtime.LockOSThread()
	places, err := g.h.places("thread-self")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	places = slices.DeleteFunc(places, func(p place) bool { return p.v2 })
	err = g.startHere(cmd)
	for _, p := range places {
		if back := enterThread(p.dir); back != nil {
			// The thread must not be used where it is: without being unlocked
			// it ends with its goroutine.
			return errors.Join(err, back, end(cmd))
		}
	}
	runtime.UnlockOSThread()
	return err
}

// startHere leaves the calling thread in the group.
func (g Group) startHere(cmd *exec.Cmd) error {
	for _, t := range g.rest {
		if err := enterThread(t.mount); err != nil {
			return err
		}
	}
	for _, t := range g.h.list {
		if !t.v2 {
			if err := enterThread(g.dir(t)); err != nil {
				return err
			}
			continue
		}
		dir, err := os.Open(g.dir(t))
		if err != nil {
			return err
		}
		defer dir.Close()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return cmd.Start()
}

// enterThread moves the calling thread into the v1 group at dir.
func enterThread(dir string) error {
	if err := os.WriteFile(dir+"/tasks", []byte("0"), 0); err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	return nil
}

// end ends a process that may have started.
func end(cmd *exec.Cmd) error {
	if cmd.Process == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // it says that it was killed
	return nil
}

// Quicken makes the next moves of processes between groups quick. The first
// one after some calm waits for a grace period of the kernel, some 15 ms; here
// the calling process moves to where it is, in the first hierarchy of g, for
// no other reason than to begin that wait. It holds up changes of groups, but
// no fork, until then.
func (g Group) Quicken() {
	if len(g.h.list) > 0 {
		_ = os.WriteFile(g.dir(g.h.list[len(g.h.list)-1])+"/cgroup.procs", []byte("0"), 0)
	}
}
