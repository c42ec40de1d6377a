package engine

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/launch"
	"github.com/berth-containers/berth/internal/plan"
	"github.com/berth-containers/berth/internal/state"
)

// Ranges of user numbers lie where systemd expects those of containers; see
// UIDS-GIDS.md of systemd.
const (
	firstBase = 0x00080000
	lastBase  = 0x6fff0000
)

// allocateIDs picks a range of user numbers that nobody else has: no other
// container, no user of the host, no subordinate range, no nspawn. The search
// begins at a place that follows from the name, so that a container made
// again on a quiet host has the same numbers. records are those of all
// containers.
func (e *Engine) allocateIDs(n container.Name, records []state.Record) (uint32, error) {
	taken := takenIDs(records)
	hash := fnv.New32a()
	hash.Write([]byte(e.Paths.Instance() + "/" + string(n))) // two roots have the same names
	const slots = (lastBase-firstBase)/container.IDRange + 1
	first := hash.Sum32() % slots
	for i := range uint32(slots) {
		base := firstBase + (first+i)%slots*container.IDRange
		if !taken.overlaps(base) {
			return base, nil
		}
	}
	return 0, &container.Error{Subject: string(n), Err: fmt.Errorf("no range of %d user numbers is free", container.IDRange),
		Hint: "destroy containers that are not needed, or set privateUsers to a base of your own"}
}

// usersNotes tell which containers share user numbers with one whose spec chooses
// them.
func usersNotes(c plan.Wanted, a around) ([]string, error) {
	if c.Spec.PrivateUsers.Mode != container.UsersBase {
		return nil, nil
	}
	records, err := a.records()
	var out []string
	for _, r := range records {
		base := launch.UIDBase(&r)
		if r.Name != c.Name && base != 0 && (idRanges{rangeAt(base)}).overlaps(c.Spec.PrivateUsers.Base) {
			out = append(out, fmt.Sprintf("privateUsers: %s has user numbers from %d on, and so some of the same: on the host, files and processes of one can be the other's too", r.Name, base))
		}
	}
	return out, err
}

// hasRange reports whether a container has a range of user numbers for itself.
func hasRange(s container.Spec) bool {
	return s.PrivateUsers.Mode == container.UsersPick || s.PrivateUsers.Mode == container.UsersBase
}

// rangeAt is the range of a container.
func rangeAt(base uint32) [2]uint64 {
	return [2]uint64{uint64(base), uint64(base) + container.IDRange - 1}
}

// idRanges are ranges of user numbers, each from its first to its last.
type idRanges [][2]uint64

func (r idRanges) overlaps(base uint32) bool {
	first, last := uint64(base), uint64(base)+container.IDRange-1
	for _, t := range r {
		if t[0] <= last && first <= t[1] {
			return true
		}
	}
	return false
}

func takenIDs(records []state.Record) idRanges {
	var out idRanges
	for _, r := range records {
		out = append(out, rangeAt(r.UIDBase))
	}
	for _, f := range []string{"/etc/subuid", "/etc/subgid"} {
		out = append(out, rangesIn(f, 1, 2)...)
	}
	for _, f := range []string{"/etc/passwd", "/etc/group"} {
		out = append(out, rangesIn(f, 2, -1)...)
	}
	entries, _ := os.ReadDir("/run/systemd/nspawn-uid") // those of running nspawns with --private-users=pick
	for _, entry := range entries {
		if base, err := strconv.ParseUint(entry.Name(), 10, 32); err == nil {
			out = append(out, rangeAt(uint32(base)))
		}
	}
	return out
}

// rangesIn reads a file of fields parted by colons: a number in the field
// first, and how many there are in the field count, or one.
func rangesIn(path string, first, count int) idRanges {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out idRanges
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Split(sc.Text(), ":")
		if len(fields) <= max(first, count) {
			continue
		}
		base, err := strconv.ParseUint(fields[first], 10, 32)
		if err != nil {
			continue
		}
		size := uint64(1)
		if count > 0 {
			size, _ = strconv.ParseUint(fields[count], 10, 32)
		}
		if size > 0 {
			out = append(out, [2]uint64{base, base + size - 1})
		}
	}
	return out
}
