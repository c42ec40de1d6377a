// Package sysctl borrows settings of the kernel: it changes them while
// somebody needs that, and puts them back after the last one.
//
// Settings below net are those of the calling thread's network namespace, and
// so is the ledger of what was borrowed, which does not depend on --root.
package sysctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/state"
)

// dir is below which the kernel has its settings.
const dir = "/proc/sys"

// ledgers holds the ledgers, by the inode numbers of network namespaces and
// their cookies.
const ledgers = "/run/berth/sysctl"

// String is the setting as sysctl(8) takes it.
func (s Setting) String() string { return strings.ReplaceAll(s.Name, "/", ".") + "=" + s.Value }

// Setting is a setting and the value that is needed.
type Setting struct {
	Name  string // below /proc/sys, such as net/ipv4/ip_forward
	Value string
	// Before are settings that are needed first, as long as this one.
	Before []Setting
	// Along are settings that the kernel changes together with this one.
	Along []string
}

// loan is a setting that was changed.
type loan struct {
	Name     string   `json:"name"`
	Original string   `json:"original"`
	Ours     string   `json:"ours"`
	Holders  []string `json:"holders,omitempty"`
	// Before were changed first, and are put back after it.
	Before []loan `json:"before,omitempty"`
	// Along are the original values of what the kernel changes together with it.
	Along map[string]string `json:"along,omitempty"`
}

// Borrow gives settings their values until holder, and all others who borrow
// them, give them back. A setting that has its value already is not borrowed.
func Borrow(ctx context.Context, holder string, settings ...Setting) error {
	return change(ctx, func(l *ledger) error {
		for _, s := range settings {
			if err := l.borrow(holder, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Return gives back all that holder borrowed, and puts back what nobody else
// has borrowed, in the reverse order. What somebody has changed meanwhile
// stays.
func Return(ctx context.Context, holder string) error {
	return change(ctx, func(l *ledger) error { return l.giveBack(holder) })
}

// Lapsed are those of settings that have not their values.
func Lapsed(settings ...Setting) ([]Setting, error) {
	var out []Setting
	for _, s := range settings {
		if value, err := Value(s.Name); err != nil {
			return nil, err
		} else if value != s.Value {
			out = append(out, s)
		}
	}
	return out, nil
}

// Value reads a setting.
func Value(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(b)), err
}

func set(name, value string) error {
	err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0)
	if errors.Is(err, unix.EROFS) {
		err = fmt.Errorf("%w\nhint: /proc/sys is read-only here, set %s to %s where it is not", err, strings.ReplaceAll(name, "/", "."), value)
	}
	return err
}

// ledger is what was borrowed in one network namespace, in that order. It is
// written before a setting changes: one that a crash left unchanged does not
// have our value, and stays as it is.
type ledger struct {
	path  string
	loans []loan
}

// change calls f with the ledger, which nobody else has meanwhile.
func change(ctx context.Context, f func(l *ledger) error) (err error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return fmt.Errorf("find the network namespace: %w", err)
	}
	cookie, err := cookie()
	if err != nil {
		return fmt.Errorf("find the network namespace: %w", err)
	}
	l := &ledger{path: filepath.Join(ledgers, fmt.Sprintf("%d-%d.json", ns.Ino, cookie))}
	lock, err := state.AwaitLock(ctx, strings.TrimSuffix(l.path, ".json")+".lock")
	if err != nil {
		return fmt.Errorf("lock the ledger of kernel settings: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := state.ReadJSON(l.path, &l.loans); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f(l); err != nil || len(l.loans) > 0 {
		return err
	}
	return errors.Join(state.RemoveFile(l.path), os.Remove(lock.File().Name()))
}

// cookie is a number of this thread's network namespace that none gets again, as
// happens with inode numbers; 0 before Linux 5.14.
func cookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return 0, nil
	}
	return c, err
}

func (l *ledger) write() error { return state.WriteRuntimeJSON(l.path, l.loans) }

func (l *ledger) borrow(holder string, s Setting) error {
	value, err := Value(s.Name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(l.loans, func(o loan) bool { return o.Name == s.Name })
	switch {
	case i >= 0 && value == s.Value && value == l.loans[i].Ours:
		if slices.Contains(l.loans[i].Holders, holder) {
			return nil
		}
		l.loans[i].Holders = append(l.loans[i].Holders, holder)
		return l.write()
	case value == s.Value:
		return nil
	case i >= 0: // somebody has changed it, and that is what it goes back to
		l.loans[i].Original, l.loans[i].Ours = value, s.Value
		if !slices.Contains(l.loans[i].Holders, holder) {
			l.loans[i].Holders = append(l.loans[i].Holders, holder)
		}
	default:
		l.loans = append(l.loans, loan{Name: s.Name, Original: value, Ours: s.Value, Holders: []string{holder}})
		i = len(l.loans) - 1
	}
	if err := l.loans[i].note(s); err != nil {
		return err
	}
	if err := l.write(); err != nil {
		return err
	}
	for _, first := range s.Before {
		if err := set(first.Name, first.Value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return set(s.Name, s.Value)
}

// note keeps what settings have that change with s.
func (o *loan) note(s Setting) (err error) {
	for _, first := range s.Before {
		known := slices.ContainsFunc(o.Before, func(b loan) bool { return b.Name == first.Name })
		if value, err := Value(first.Name); err == nil && !known {
			o.Before = append(o.Before, loan{Name: first.Name, Original: value, Ours: first.Value})
		}
	}
	o.Along, err = along(s)
	return err
}

// along are the values of what the kernel changes together with s.
func along(s Setting) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range s.Along {
		value, err := Value(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its interface went meanwhile
		} else if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func (l *ledger) giveBack(holder string) error {
	var keep, back []loan
	for _, o := range l.loans {
		o.Holders = slices.DeleteFunc(o.Holders, func(h string) bool { return h == holder })
		if len(o.Holders) > 0 {
			keep = append(keep, o)
		} else {
			back = append(back, o)
		}
	}
	slices.Reverse(back)
	var errs []error
	for _, o := range back {
		errs = append(errs, o.restore())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	changed := len(back) > 0 || !slices.EqualFunc(keep, l.loans, func(a, b loan) bool { return len(a.Holders) == len(b.Holders) })
	l.loans = keep
	if !changed || len(keep) == 0 {
		return nil // an empty ledger is removed
	}
	return l.write()
}

// restore puts a setting back, and then what was changed together with it.
func (o loan) restore() error {
	value, err := Value(o.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && value == o.Ours {
		if err := set(o.Name, o.Original); err != nil {
			return err
		}
		for name, original := range o.Along {
			if value, err := Value(name); err == nil && value != original {
				if err := set(name, original); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
	}
	var errs []error
	for _, b := range o.Before {
		errs = append(errs, b.restore())
	}
	return errors.Join(errs...)
}
