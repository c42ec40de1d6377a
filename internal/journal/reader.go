package journal

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// Query says which entries are wanted.
type Query struct {
	Since, Until time.Time // zero: no bound
	Units        []string  // patterns as in path.Match, of which one has to fit; empty: all
	Priority     int       // at most this, which is at least so urgent; 7: all
	Boot         string    // as Entry.Boot; empty: all
}

// Unit is the name that a user means by a unit's name or pattern: a service,
// if it does not say.
func Unit(name string) string {
	kinds := []string{".service", ".socket", ".target", ".device", ".mount", ".automount", ".swap", ".timer", ".path", ".slice", ".scope"}
	if strings.ContainsAny(name, "*?[") || slices.Contains(kinds, path.Ext(name)) {
		return name
	}
	return name + ".service"
}

// Matches reports whether q wants an entry.
func (q Query) Matches(e Entry) bool {
	if q.Boot != "" && e.Boot != q.Boot {
		return false
	}
	if e.Priority > q.Priority || e.Time.Before(q.Since) || !q.Until.IsZero() && e.Time.After(q.Until) {
		return false
	}
	if len(q.Units) == 0 {
		return true
	}
	return slices.ContainsFunc(e.units, func(unit string) bool {
		return slices.ContainsFunc(q.Units, func(pattern string) bool {
			ok, err := path.Match(pattern, unit)
			return ok && err == nil
		})
	})
}

// Reader reads the entries of all files of a machine in the order of time. It
// knows what it has read, and reads only what is new the next time.
type Reader struct {
	read map[ID]uint64 // how many entries of each file
	seen recent
	from time.Time // what is older was left out by Last
}

// maxDamaged is how many entries of a file may be damaged before it is given
// up.
const maxDamaged = 1000

// All calls f with each new entry that q wants, the oldest first, until f
// returns an error. What cannot be read is left out; the error tells of it.
func (r *Reader) All(places []Place, machines []string, q Query, f func(Entry) error) error {
	ways, err := r.open(places, machines)
	defer closeAll(ways)
	if r.from.After(q.Since) {
		q.Since = r.from
	}
	for _, w := range ways {
		if at, known := r.read[w.id]; known {
			w.at = at
		} else if !q.Since.IsZero() {
			w.at = w.search(q.Since)
		}
		w.forward()
	}
	for {
		w := first(ways, func(a, b stamp) bool { return a.before(b) })
		if w == nil {
			break
		}
		if r.seen.add(w.head) {
			e, readErr := w.entry(w.at)
			if readErr == nil && q.Matches(e) {
				if err := f(e); err != nil {
					return err
				}
			}
		}
		w.at++
		w.forward()
	}
	for _, w := range ways {
		r.read[w.id] = w.at
	}
	return err
}

// Last returns the last n entries that q wants, the oldest first. What is
// older counts as read then.
func (r *Reader) Last(places []Place, machines []string, q Query, n int) ([]Entry, error) {
	ways, err := r.open(places, machines)
	defer closeAll(ways)
	for _, w := range ways {
		w.at = w.count
		r.read[w.id] = w.count
		w.backward()
	}
	var out []Entry
	if w := first(ways, func(a, b stamp) bool { return b.before(a) }); w != nil {
		r.from = w.head.time().Add(time.Microsecond)
	}
	for len(out) < n {
		w := first(ways, func(a, b stamp) bool { return b.before(a) })
		if w == nil || w.head.time().Before(q.Since) {
			break
		}
		r.from = w.head.time()
		if r.seen.add(w.head) {
			if e, readErr := w.entry(w.at); readErr == nil && q.Matches(e) {
				out = append(out, e)
			}
		}
		w.backward()
	}
	slices.Reverse(out)
	return out, err
}

func (r *Reader) open(places []Place, machines []string) ([]*way, error) {
	if r.read == nil {
		r.read = map[ID]uint64{}
	}
	var out []*way
	var errs []error
	for _, p := range places {
		for _, m := range machines {
			files, err := p.journals(m)
			errs = append(errs, err)
			for _, f := range files {
				out = append(out, &way{opened: f})
			}
		}
	}
	return out, errors.Join(errs...)
}

func closeAll(ways []*way) {
	for _, w := range ways {
		w.f.Close()
	}
}

// way is a walk through a file.
type way struct {
	opened
	at      uint64 // number of the entry it is at
	head    stamp  // of that entry
	ended   bool
	damaged int
}

// forward finds the next entry that can be read, from at on.
func (w *way) forward() {
	for ; w.at < w.count; w.at++ {
		if err := w.look(); err == nil || w.ended {
			return
		} else if err == io.EOF { // what comes is not written yet
			break
		}
	}
	w.ended = true
}

// backward finds the next entry that can be read, before at.
func (w *way) backward() {
	for w.at > 0 {
		w.at--
		if err := w.look(); err == nil || w.ended {
			return
		}
	}
	w.ended = true
}

// look reads the head of the entry it is at. It ends the walk where there is
// too much damage.
func (w *way) look() error {
	var err error
	if w.head, err = w.stamp(w.at); err != nil {
		w.damaged++
		w.ended = w.damaged > maxDamaged
	}
	return err
}

// first is the walk whose head comes before those of the others; nil if all
// have ended.
func first(ways []*way, before func(a, b stamp) bool) *way {
	var out *way
	for _, w := range ways {
		if !w.ended && (out == nil || before(w.head, out.head)) {
			out = w
		}
	}
	return out
}

// before orders entries: those of one boot by its clock, which nobody sets.
func (s stamp) before(t stamp) bool {
	if s.boot == t.boot && s.monotonic != t.monotonic {
		return s.monotonic < t.monotonic
	}
	return s.realtime < t.realtime
}

// recent knows the entries that were read last.
type recent struct {
	known map[stamp]bool
	order []stamp // a ring, once it is full
	next  int
}

// maxRecent is how many that are: more than journald moves from memory to
// disk when a machine has booted.
const maxRecent = 32 << 10

// add reports whether an entry is new, and remembers it.
func (r *recent) add(s stamp) bool {
	if r.known == nil {
		r.known = map[stamp]bool{}
	}
	if r.known[s] {
		return false
	}
	r.known[s] = true
	if len(r.order) < maxRecent {
		r.order = append(r.order, s)
		return true
	}
	delete(r.known, r.order[r.next])
	r.order[r.next] = s
	r.next = (r.next + 1) % maxRecent
	return true
}
