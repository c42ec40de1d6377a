package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/guest"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/state"
	"github.com/berth-containers/berth/internal/supervise"
	"github.com/berth-containers/berth/internal/unit"
)

// switchInPlace has the running guest of rec change its system to that of
// next, and makes that the container's record once it is healthy with it.
func (e *Engine) switchInPlace(ctx context.Context, w Wish, rec, next state.Record) error {
	obs, err := e.supervisor.Observe(rec.Name)
	if err != nil {
		return err
	}
	if obs.State != container.Running {
		return &container.Error{Err: fmt.Errorf("it is %s by now", obs.State), Hint: "run the command again to see the new plan"}
	}
	before, err := e.departure(rec)
	if err != nil {
		return err
	}
	if before.Generation != rec.Generation { // so that the record tells whether the guest has arrived
		if err := e.writeChosen(ctx, before); err != nil {
			return err
		}
	}
	t := &state.Transition{Before: before, After: next, Leader: obs.Leader, Started: obs.Started, Unit: unit.NewName()}
	units, err := e.guestUnits(ctx, rec.Name)
	if err != nil {
		return err
	}
	t.Failed = units.failed
	if err := e.Paths.WriteTransition(*t); err != nil {
		return err
	}
	if err := e.give(ctx, t); err != nil {
		return errors.Join(err, state.RemoveFile(e.Paths.Transition(rec.Name)))
	}
	limit, cancel := healthWindow(ctx, next.Spec)
	defer cancel()
	t.Begun = true
	if err := e.Paths.WriteTransition(*t); err != nil {
		return err
	}
	e.tell(rec.Name, "switches to generation %d", next.Generation)
	trouble := e.switchTo(limit, t, next.System)
	if trouble == nil || errors.As(trouble, new(*exitError)) {
		trouble = e.awaitHealth(limit, t, trouble)
	}
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case trouble == nil:
		return e.arrive(ctx, t, "")
	}
	if err := e.sameGuest(t); err != nil {
		trouble = err
	}
	t.Back = trouble.Error()
	if errors.Is(trouble, unit.ErrNotRun) || errors.Is(trouble, guest.ErrEnded) { // it has its old system still, or again
		if !errors.Is(trouble, guest.ErrEnded) {
			e.giveBack(ctx, t)
		}
		return errors.Join(undone(t), e.returned(t))
	}
	return e.notHealthy(ctx, w, t, e.switchBack)
}

// sameGuest makes sure that the guest is the one that a switch was begun in.
func (e *Engine) sameGuest(t *state.Transition) error {
	obs, err := e.supervisor.Observe(t.Before.Name)
	if err != nil {
		return err
	}
	if obs.Leader != t.Leader || obs.Started != t.Started {
		return guest.ErrEnded
	}
	return nil
}

// show has the guest see what its new system consists of.
func (e *Engine) show(t *state.Transition) error {
	l, err := e.launched(t.Before.Name)
	if err != nil {
		return err
	}
	if l == nil {
		return guest.ErrEnded
	}
	g, err := guest.Open(t.Leader, t.Started, e.cgroups)
	if err != nil {
		return err
	}
	defer g.Close()
	if err := launch.ShowSystem(e.Paths, l, t.After.System, t.Leader, g.Root()); err != nil {
		return err
	}
	if !slices.Contains(l.Shown, t.After.System) {
		l.Shown = append(l.Shown, t.After.System)
	}
	return state.WriteLaunched(e.Paths.Run(l.Name), *l)
}

// giveBack has the guest's own Nix know the system that the guest had, and boot
// that. What keeps it from that is told: the guest is told anew when it starts.
func (e *Engine) giveBack(ctx context.Context, t *state.Transition) {
	if err := e.enrol(ctx, t, t.Before.System); err != nil {
		e.tell(t.Before.Name, "%v", err)
	}
}

// give has the guest see its new system, and its own Nix know it, where it has one.
func (e *Engine) give(ctx context.Context, t *state.Transition) error {
	if err := e.show(t); err != nil {
		return err
	}
	return e.enrol(ctx, t, t.After.System)
}

// Exit codes of a switch that are more than a word: NixOS' own for parts of the
// activation that failed, and for units, and one of ours for a switch that took
// too long.
const (
	codeActivation = 2
	codeUnits      = 4
	codeLate       = -1
)

// exitError is that a switch-to-configuration has ended with an exit code.
type exitError struct{ code int }

// Error says what the code means; see NixOS' switch-to-configuration.
func (e *exitError) Error() string {
	meaning := map[int]string{
		1: "it gave up", codeActivation: "the activation failed in parts", 3: "systemd did not reload its units", codeUnits: "units failed",
		100: "it needs a restart, since its init is another one",
	}[e.code]
	if e.code == codeLate {
		return "the switch had not ended in time"
	}
	if meaning == "" {
		return fmt.Sprintf("the switch ended with %d", e.code)
	}
	return fmt.Sprintf("the switch ended with %d: %s", e.code, meaning)
}

// switchTo runs the switch-to-configuration of a system in the guest, in a unit
// that goes on when this process ends: a guest that is half switched is of no
// use. The error is an *exitError where it has ended badly.
func (e *Engine) switchTo(ctx context.Context, t *state.Transition, system container.StorePath) error {
	n := t.Before.Name
	log := filepath.Join(e.Paths.Container(n), "switch.log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	stop, err := follow(log, func(line string) { e.tell(n, "%s", line) })
	if err != nil {
		return err
	}
	defer stop()
	g, err := guest.Open(t.Leader, t.Started, e.cgroups)
	if err != nil {
		return err
	}
	defer g.Close()
	code, err := g.Exec(ctx, guest.Command{
		Args: []string{string(system) + "/bin/switch-to-configuration", "test"}, Way: guest.ByUnit, Unit: t.Unit, Dir: "/",
		Stdin: null, Stdout: out, Stderr: out,
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.stopSwitch(context.WithoutCancel(ctx), t)
		return &exitError{codeLate}
	case err != nil && !errors.Is(err, unit.ErrUnsure):
		return err
	case code != 0:
		return &exitError{code}
	}
	return nil
}

// stopSwitch ends a switch that takes too long, and has the guest forget it.
func (e *Engine) stopSwitch(ctx context.Context, t *state.Transition) {
	e.ask(ctx, t.Before.Name, "systemctl", "stop", t.Unit)
	e.ask(ctx, t.Before.Name, "systemctl", "reset-failed", t.Unit)
}

// backLimit is how long the way back to a system may take that the guest had
// before: there is no other one.
const backLimit = 5 * time.Minute

// switchBack has the guest change back to the system that it had.
func (e *Engine) switchBack(ctx context.Context, t *state.Transition) error {
	t.Unit = unit.NewName()
	if err := e.Paths.WriteTransition(*t); err != nil {
		return err
	}
	n := t.Before.Name
	e.tell(n, "switches back to generation %d: %s", t.Before.Generation, t.Back)
	limit, cancel := context.WithTimeout(ctx, max(backLimit, windowOf(t.Before.Spec)))
	defer cancel()
	e.giveBack(limit, t)
	trouble := e.switchTo(limit, t, t.Before.System)
	if trouble == nil || errors.As(trouble, new(*exitError)) {
		trouble = e.awaitHealth(limit, t, trouble)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if trouble != nil {
		e.tell(n, "generation %d is not healthy either: %v", t.Before.Generation, trouble)
	}
	return e.returned(t)
}

// mendSwitch brings an interrupted switch to its end. A guest that has come to
// its new system, and looks healthy with it, stays there: the health window is
// over.
func (e *Engine) mendSwitch(ctx context.Context, t *state.Transition, rec *state.Record) error {
	obs, err := e.supervisor.Observe(rec.Name)
	switch {
	case err != nil:
		return err
	case obs.Leader != t.Leader || obs.Started != t.Started:
		return e.endTransition(rec) // it has started anew, with its record
	case obs.State == container.Paused:
		return pausedError(rec.Name)
	case rec.Generation == t.After.Generation:
		return e.arrive(ctx, t, "")
	}
	limit, cancel := healthWindow(ctx, t.After.Spec)
	defer cancel()
	system, err := e.endSwitch(limit, t, obs)
	if err != nil && !errors.As(err, new(*exitError)) {
		return err
	}
	if t.Back != "" {
		return e.switchBack(ctx, t)
	}
	switch {
	case err == nil && !t.Begun && system == t.Before.System:
		e.giveBack(ctx, t)
		return e.returned(t)
	case system == t.After.System:
		if err = e.looksHealthy(ctx, t, err); err == nil {
			return e.arrive(ctx, t, "")
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	t.Back = undoneByKill
	if err != nil {
		t.Back += ", and " + err.Error()
	}
	return e.switchBack(ctx, t)
}

// looksHealthy is awaitHealth for a switch that may have ended long ago, in a
// unit that its guest may no longer know: that it ended well proves nothing.
func (e *Engine) looksHealthy(ctx context.Context, t *state.Transition, ended error) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	return e.awaitHealth(ctx, t, ended)
}

// endSwitch waits for the end of a switch that was begun, and returns the
// system that the guest has then, or "" where that is none of the two. The error
// is an *exitError where it has ended badly.
func (e *Engine) endSwitch(ctx context.Context, t *state.Transition, obs supervise.Observation) (system container.StorePath, err error) {
	g, err := guest.Open(obs.Leader, obs.Started, e.cgroups)
	if err != nil {
		return "", err
	}
	defer g.Close()
	var exit error
	switch code, err := g.Attend(ctx, t.Unit); {
	case errors.Is(err, context.DeadlineExceeded):
		e.stopSwitch(context.WithoutCancel(ctx), t)
		exit = &exitError{codeLate}
	case err != nil:
		return "", err
	case code != 0:
		exit = &exitError{code}
	}
	link, err := g.Readlink("run/current-system")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, s := range []container.StorePath{t.Before.System, t.After.System} {
		if link == string(s) {
			system = s
		}
	}
	return system, exit
}
