package guest

import (
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/state"
)

// KeepFilters has the system call filters of the guest's init kept in a file,
// so that they are read from the init only once, which stops it for a moment.
// Only the host's root may be able to write to the file and its directory.
func (g *Guest) KeepFilters(file string) { g.filters = file }

// readFilters are the seccomp filters of the guest's init, which has count of
// them; negative: that is not known. A process can get more, but never loses
// one: those that were kept are the same as long as there are as many.
func (g *Guest) readFilters(ctx context.Context, count int) ([][]unix.SockFilter, error) {
	if count == 0 {
		return nil, nil
	}
	keeps := g.filters != "" && count > 0
	if keeps {
		b, _ := os.ReadFile(g.filters)
		if f, ok := decodeFilters(b, g.leader.PID, g.start); ok && len(f) == count {
			return f, nil
		}
	}
	f, err := namespace.Filters(ctx, g.leader.PID)
	if err == nil && keeps && len(f) == count {
		_ = state.WriteRuntimeFile(g.filters, encodeFilters(f, g.leader.PID, g.start), 0o600) // the next one reads them again
	}
	return f, err
}

// filtersMagic begins a file of filters. The init's PID and start follow in
// little-endian order, and then the filters.
const filtersMagic = "berth filters 1\n"

func encodeFilters(filters [][]unix.SockFilter, pid int, start uint64) []byte {
	b := []byte(filtersMagic)
	b = binary.LittleEndian.AppendUint64(b, uint64(pid))
	b = binary.LittleEndian.AppendUint64(b, start)
	return namespace.AppendFilters(b, filters)
}

// decodeFilters are the filters of a file, if they are of that init.
func decodeFilters(b []byte, pid int, start uint64) ([][]unix.SockFilter, bool) {
	const header = len(filtersMagic) + 16
	if len(b) < header || string(b[:len(filtersMagic)]) != filtersMagic ||
		binary.LittleEndian.Uint64(b[header-16:]) != uint64(pid) || binary.LittleEndian.Uint64(b[header-8:]) != start {
		return nil, false
	}
	f, err := namespace.ParseFilters(b[header:])
	return f, err == nil
}
