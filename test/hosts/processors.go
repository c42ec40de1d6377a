package main

import (
	"fmt"
	"os"
)

// use is what all processors of this machine have done since its boot, in ticks
// of its clock.
type use struct{ idle, all uint64 }

// processors is that now, from the first line of /proc/stat; see proc_stat(5).
// It is empty where that cannot be read.
func processors() (u use) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return use{}
	}
	var t [8]uint64 // user, nice, system, idle, iowait, irq, softirq, steal
	if _, err := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]); err != nil {
		return use{}
	}
	for _, n := range t {
		u.all += n
	}
	u.idle = t[3] + t[4]
	return u
}

// idleSince is the share of time, in per cent, that they had nothing to do.
func (u use) idleSince(before use) float64 {
	if u.all == before.all {
		return 0
	}
	return 100 * float64(u.idle-before.idle) / float64(u.all-before.all)
}
