package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/journal"
	"github.com/berth-containers/berth/internal/process"
	"github.com/berth-containers/berth/internal/supervise"
)

// followConsole reads the console until ctx ends. What is there goes to the
// first channel in one piece; what comes is told, and the end goes to the
// second.
func (l *logs) followConsole(ctx context.Context) (<-chan []container.LogLine, <-chan error) {
	past, ended := make(chan []container.LogLine, 1), make(chan error, 1)
	if !l.query.wantsConsole() {
		past <- nil
		return past, ended
	}
	var there []container.LogLine
	live := false
	go func() {
		err := l.engine.supervisor.Console(ctx, l.rec.Name, l.lastConsole(), func(t time.Time, text []byte) {
			line := l.consoleLine(t, text)
			switch {
			case !l.query.within(t):
			case live:
				l.fromConsole(line)
			default:
				there = append(there, line)
			}
		}, func() {
			live = true
			past <- there
		})
		if !live {
			past <- there
		}
		ended <- err
	}()
	return past, ended
}

// fromConsole tells a line of now. A status line of systemd waits for the
// journal to tell the same.
func (l *logs) fromConsole(line container.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.query.Console || !isStatus(line.Message) {
		l.tell(line)
		return
	}
	if len(l.order.console) == 0 {
		time.AfterFunc(near, l.noJournal)
	}
	l.order.console = append(l.order.console, line)
}

// noJournal tells the status lines that the journal did not tell in time.
func (l *logs) noJournal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order.rest()
}

// followJournal reads the journals of one run of the guest after the other,
// until ctx ends.
func (l *logs) followJournal(ctx context.Context) error {
	if l.query.Console {
		<-ctx.Done()
		return nil
	}
	for {
		obs, err := l.engine.supervisor.Await(ctx, l.rec.Name, func(o supervise.Observation) bool { return o.Leader != 0 })
		if err != nil {
			return err
		}
		if err := l.followRun(ctx, obs); err != nil {
			return err
		}
		_, err = l.engine.supervisor.Await(ctx, l.rec.Name, func(o supervise.Observation) bool {
			return o.Leader != obs.Leader || o.Started != obs.Started
		})
		if err != nil {
			return err
		}
	}
}

// A journal that is written to without end is read so often, and directories
// that are not there are looked for.
const (
	breath   = 20 * time.Millisecond
	lookTime = time.Second
)

// followRun reads the journals of a running guest until it has ended.
func (l *logs) followRun(ctx context.Context, obs supervise.Observation) error {
	leader, err := process.OpenStarted(obs.Leader, obs.Started)
	if err != nil {
		return nil // it has just ended
	}
	defer leader.Close()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { ended <- leader.Await(ctx) }()
	w := &watch{}
	defer w.close()
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for {
		if err := l.readRun(obs, w); errors.Is(err, guest.ErrEnded) {
			return l.lastOfRun(w)
		} else if err != nil {
			return err
		}
		select {
		case <-ended:
			return l.lastOfRun(w)
		case <-w.events():
		case <-w.errors(): // too much has come at a time
		case <-look.C:
		}
		time.Sleep(breath)
		w.drain()
	}
}

// readRun reads what is new in the journals of a running guest, and watches
// their directories.
func (l *logs) readRun(obs supervise.Observation, w *watch) error {
	j, err := l.engine.journalsInside(l.rec, obs)
	if errors.Is(err, guest.ErrNoRoot) {
		return nil
	} else if err != nil {
		return err
	}
	defer j.close()
	if err := w.set(j, l.rec.Spec.Ephemeral); err != nil {
		return err
	}
	l.readNew(j)
	return nil
}

// lastOfRun reads what a guest wrote before it ended: what is on disk, and what
// was in memory, which is held until then.
func (l *logs) lastOfRun(w *watch) error {
	j, err := l.engine.journalsOnDisk(l.rec)
	if err != nil {
		return err
	}
	defer j.close()
	for _, dir := range w.held {
		j.add(dir, "/")
	}
	j.machines = append(j.machines, ".")
	l.readNew(j)
	return nil
}

func (l *logs) readNew(j *journals) {
	l.keep(partly(l.reader.All(j.places, j.machines, l.query.journal(), func(e journal.Entry) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.order.entry(l.line(e))
		return nil
	})))
}

// watch tells when something is written to journals.
type watch struct {
	notify *fsnotify.Watcher
	dirs   []os.FileInfo // that are watched
	held   []*os.File    // directories that end with the guest
}

// set watches the directories that there are now. Those in memory are held, so
// that they can be read when the guest has ended. The others are not: a root
// may be in use only once.
func (w *watch) set(j *journals, ephemeral bool) error {
	var files []*os.File
	var infos []os.FileInfo
	var inMemory []bool
	keep := false
	defer func() {
		for i, f := range files {
			if !keep || !inMemory[i] {
				f.Close()
			}
		}
	}()
	for _, p := range j.places {
		for _, m := range j.machines {
			f, err := p.Dir(m)
			if err != nil {
				continue // who reads it tells why, if it is there
			}
			files, inMemory = append(files, f), append(inMemory, ephemeral || p.Path == journal.Volatile)
			info, err := f.Stat()
			if err != nil {
				return err
			}
			infos = append(infos, info)
		}
	}
	if slices.EqualFunc(w.dirs, infos, os.SameFile) {
		return nil
	}
	w.close()
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		return err
	}
	for i, f := range files {
		if err := w.notify.Add(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err != nil {
			return err
		}
		if inMemory[i] {
			w.held = append(w.held, f)
		}
	}
	w.dirs, keep = infos, true
	return nil
}

func (w *watch) close() {
	if w.notify != nil {
		_ = w.notify.Close() // it was only listened to
	}
	for _, f := range w.held {
		f.Close()
	}
	*w = watch{}
}

func (w *watch) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

func (w *watch) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

// drain forgets the events that have come.
func (w *watch) drain() {
	for {
		select {
		case <-w.events():
		case <-w.errors():
		default:
			return
		}
	}
}
