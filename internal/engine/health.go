package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
	"github.com/berth-containers/berth/internal/state"
)

// How often it is looked whether a guest is healthy after an update, and how
// long it has to look so: a service that cannot work ends soon after its start.
const (
	healthPause  = 150 * time.Millisecond
	healthSteady = 300 * time.Millisecond
)

// healthWindow is the time that a guest has after an update.
func healthWindow(ctx context.Context, s container.Spec) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, windowOf(s))
}

func windowOf(s container.Spec) time.Duration {
	return time.Duration(cmp.Or(s.HealthTimeout, container.DefaultHealthTimeout))
}

// awaitHealth waits until the guest is healthy after an update; the error says
// why it is not, after the window or where it cannot become so any more. ended
// is how the update itself ended badly, or nil.
func (e *Engine) awaitHealth(window context.Context, t *state.Transition, ended error) error {
	// Which units have failed since tells more than that some have. Parts of an
	// activation fail in many guests, which may not do all that a machine may.
	var exit *exitError
	switch {
	case errors.As(ended, &exit) && exit.code == codeActivation:
		e.tell(t.After.Name, "%v, which counts only where the guest is not healthy", ended)
	case errors.As(ended, &exit) && exit.code != codeUnits:
		return ended
	}
	ctx := context.WithoutCancel(window) // the last look is a whole one
	var lastCheck time.Time
	var checked error
	for begun, up := time.Now(), false; ; {
		last := time.Since(begun) >= healthSteady
		final, trouble := e.unitTrouble(ctx, t, last || !up)
		up = trouble == nil
		if check := t.After.Spec.HealthCheck; trouble == nil && check != nil && t.Back == "" {
			if time.Since(lastCheck) >= interval(check) {
				checked, lastCheck = e.check(ctx, t.After.Name, *check), time.Now()
			}
			trouble = checked
		}
		if err := e.sameGuest(t); !t.Restart && err != nil {
			return err
		}
		switch {
		case trouble == nil && last:
			return nil
		case final:
			return trouble
		}
		select {
		case <-time.After(healthPause):
		case <-window.Done():
			if trouble == nil {
				return nil
			}
			return fmt.Errorf("%w, %s after the update began", trouble, cmp.Or(t.After.Spec.HealthTimeout, container.DefaultHealthTimeout))
		}
	}
}

// unitTrouble is what is wrong with the guest's units, or with its whole system,
// or nil; final where it will not pass by itself.
func (e *Engine) unitTrouble(ctx context.Context, t *state.Transition, whole bool) (final bool, trouble error) {
	n := t.After.Name
	units, err := e.guestUnits(ctx, n)
	if err != nil {
		return false, err
	}
	if failed := newlyFailed(units.failed, t.Failed); len(failed) > 0 {
		return true, fmt.Errorf("%s failed", strings.Join(failed, ", "))
	}
	if again := newlyFailed(units.restarting, t.Failed); len(again) > 0 {
		return false, fmt.Errorf("%s ended, and is started again", strings.Join(again, ", "))
	}
	if !whole {
		return false, nil
	}
	word, _ := e.ask(ctx, n, "systemctl", "is-system-running")
	switch state := plain.Text(strings.TrimSpace(string(word))); state {
	case "running", "degraded": // by what had failed before
		return false, nil
	case "":
		return false, errors.New("its systemd does not answer")
	default:
		return state == "maintenance", fmt.Errorf("its systemd says that it is %s", state)
	}
}

// guestUnits are units of a guest that do not do what they should.
type guestUnits struct {
	failed     []string
	restarting []string // they ended, and systemd is about to start them again
}

// guestUnits asks the guest's systemd.
func (e *Engine) guestUnits(ctx context.Context, n container.Name) (guestUnits, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	b, code := e.ask(ctx, n, "systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager", "--state=failed,auto-restart")
	if code != 0 {
		return guestUnits{}, errors.New("its systemd does not tell of its units")
	}
	return parseUnits(b), nil
}

// askLimit is how long a guest may take to answer.
const askLimit = 10 * time.Second

// parseUnits reads what systemctl list-units writes: lines of unit, load state,
// active state, sub-state and description.
func parseUnits(b []byte) (out guestUnits) {
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		switch {
		case len(f) < 4:
		case f[2] == "failed":
			out.failed = append(out.failed, plain.Text(f[0]))
		case f[3] == "auto-restart":
			out.restarting = append(out.restarting, plain.Text(f[0]))
		}
	}
	slices.Sort(out.failed)
	slices.Sort(out.restarting)
	return out
}

// report tells what units that have failed since an update have logged.
func (e *Engine) report(ctx context.Context, t *state.Transition) {
	units, err := e.guestUnits(ctx, t.After.Name)
	if err != nil {
		return // which is the reason, or will be that of the way back
	}
	for _, u := range append(newlyFailed(units.failed, t.Failed), newlyFailed(units.restarting, t.Failed)...) {
		e.tell(t.After.Name, "%s failed:", u)
		_ = e.Logs(ctx, t.After.Name, LogQuery{Units: []string{literally(u)}, Last: reportLines}, func(l container.LogLine) {
			for text := range strings.SplitSeq(l.Message, "\n") {
				e.tell(t.After.Name, "  %s", plain.Text(text))
			}
		})
	}
}

// reportLines is how many lines of its log are told of a unit.
const reportLines = 10
