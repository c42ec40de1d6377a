package engine

import (
	"context"
	"errors"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/supervise"
)

// Install puts in place what starts containers when the machine boots.
func (e *Engine) Install(ctx context.Context) ([]string, error) {
	i, ok := e.supervisor.(supervise.Installer)
	if !ok {
		return nil, &container.Error{Op: "install", Err: errors.New("the embedded supervisor has nothing to install"),
			Hint: "have whatever starts this machine run: berth start --autostart"}
	}
	return i.Install(ctx)
}

// Uninstall removes what Install made.
func (e *Engine) Uninstall(ctx context.Context) ([]string, error) {
	if i, ok := e.supervisor.(supervise.Installer); ok {
		return i.Uninstall(ctx)
	}
	return nil, nil
}

// Autostart are the containers that start when the machine boots, which it has
// when this is called. What files of nixos-container say about it by now counts.
func (e *Engine) Autostart(ctx context.Context) ([]container.Name, error) {
	followed := e.Nixos().followAll(ctx)
	if p, ok := e.supervisor.(supervise.Preparer); ok {
		followed = errors.Join(followed, p.Prepare(ctx))
	}
	names, err := e.Names()
	if err != nil {
		return nil, err
	}
	var out []container.Name
	for _, n := range names {
		if rec, err := e.record(n); err == nil && rec.Spec.AutoStart {
			out = append(out, n)
		}
	}
	return out, followed
}
