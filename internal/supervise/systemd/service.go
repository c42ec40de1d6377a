package systemd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-containers/berth/internal/cgroup"
	"github.com/berth-containers/berth/internal/network/ingress"
	"github.com/berth-containers/berth/internal/network/names"
	"github.com/berth-containers/berth/internal/state"
)

// service is a unit whose process serves all guests of an instance, while one
// needs it. systemd starts it again when it is killed.
type service struct {
	unit, text   string
	needed, runs func(state.Paths) bool
}

// What is the same in the units of all services.
const (
	whileNeeded = `# It ends by itself, with 0, when no container needs it, and is started with the
# first that does.
Restart=always
RestartPreventExitStatus=0
RestartSec=100ms
SuccessExitStatus=143
`
	sandbox = `PrivateDevices=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
`
)

func (s *Supervisor) services() []service {
	return []service{
		{NamesUnit(s.Paths), NamesText(s.Paths, s.Program), names.Needed, names.Runs},
		{IngressUnit(s.Paths), IngressText(s.Paths, s.Program), ingress.Needed, ingress.Runs},
	}
}

func (v service) missing(paths state.Paths) bool { return v.needed(paths) && !v.runs(paths) }

// serve is Serve for a process that has no Supervisor yet.
func serve(ctx context.Context, paths state.Paths) error {
	h, err := cgroup.Mounted()
	if err != nil {
		return err
	}
	s, err := New(ctx, paths, h)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Serve implements supervise.Server.
func (s *Supervisor) Serve(ctx context.Context) error {
	var errs []error
	for _, v := range s.services() {
		if err := s.ensure(ctx, v); err != nil {
			errs = append(errs, fmt.Errorf("start %s: %w", v.unit, err))
		}
	}
	return errors.Join(errs...)
}

// ensure starts a service that is missing, and returns when it serves.
func (s *Supervisor) ensure(ctx context.Context, v service) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for v.missing(s.Paths) {
		if err := s.startService(ctx, v); err != nil {
			return err
		}
		if !v.missing(s.Paths) {
			return nil
		}
		// It was just ending, and systemd has not seen it.
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// startService starts the unit, and waits for the end of the job. It writes the
// unit's text if nobody installed it.
func (s *Supervisor) startService(ctx context.Context, v service) error {
	changed, err := s.ensureUnit(v.unit, v.text)
	if err != nil {
		return err
	}
	if changed {
		if err := s.reread(ctx, v.unit); err != nil {
			return err
		}
	}
	var result chan string
	err = s.ask(ctx, func(ctx context.Context, l *link) error {
		result = make(chan string, 1)
		_, err := l.units.StartUnitContext(ctx, v.unit, "replace", result)
		return err
	})
	if err != nil {
		return err
	}
	select {
	case how := <-result:
		if how != "done" {
			return fmt.Errorf("its job ended with %q: systemctl status %s tells more", how, v.unit)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
