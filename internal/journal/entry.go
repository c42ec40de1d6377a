package journal

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Entry is one entry of a journal, as the guest made it: none of its texts is
// fit to be shown as it is.
type Entry struct {
	Time       time.Time
	Boot       string // of the guest, as 32 hexadecimal digits
	Message    string // may have several lines; at most 64 KiB
	Priority   int    // 0 to 7, as in syslog(3)
	Unit       string // that the entry is of, or about
	Identifier string // of who wrote it, for people
	PID        int

	units []string // all that it is of or about
	stamp stamp
}

// defaultPriority is that of an entry that tells none: informational.
const defaultPriority = 6

// maxName is as long as the longest name of a field that is wanted.
const maxName = 19

// wanted reports whether a field says something that an Entry has.
func wanted(name string) bool {
	switch name {
	case "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_COMM", "_PID", "_UID",
		"_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT":
		return true
	}
	return false
}

func newEntry(s stamp, fields []field) Entry {
	e := Entry{Time: s.time(), Boot: hex.EncodeToString(s.boot[:]), Priority: defaultPriority, stamp: s}
	v := map[string]string{}
	for _, f := range fields {
		if _, twice := v[f.name]; f.name != "" && !twice {
			v[f.name] = f.value
		}
	}
	e.Message = strings.TrimRight(v["MESSAGE"], "\n")
	if p, err := strconv.Atoi(v["PRIORITY"]); err == nil && p >= 0 && p <= 7 {
		e.Priority = p
	}
	for _, name := range []string{"SYSLOG_IDENTIFIER", "_COMM"} {
		if e.Identifier == "" {
			e.Identifier = v[name]
		}
	}
	for _, name := range []string{"_PID", "SYSLOG_PID"} {
		if pid, err := strconv.Atoi(v[name]); err == nil && pid > 0 && e.PID == 0 {
			e.PID = pid
		}
	}
	e.units = unitsOf(v)
	if len(e.units) > 0 {
		e.Unit = e.units[0]
	}
	return e
}

// unitsOf are the units that an entry is about, then that which it comes from:
// what the service manager says of a unit counts as the unit's, and so does
// what root's programs say of it.
func unitsOf(v map[string]string) []string {
	var out []string
	add := func(name string, trusted bool) {
		if v[name] != "" && trusted {
			out = append(out, v[name])
		}
	}
	add("UNIT", v["_PID"] == "1")
	add("COREDUMP_UNIT", v["_UID"] == "0")
	add("OBJECT_SYSTEMD_UNIT", v["_UID"] == "0")
	add("_SYSTEMD_UNIT", true)
	return out
}
