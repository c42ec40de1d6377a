package main

import (
	"fmt"
	"os"
	"strings"
)

// hostMemory is more than a nested host has on its disk at any time, in bytes.
const hostMemory = 4 << 30

// memoryFor is the memory that each of a number of hosts may have its disk in: 0
// where the machine has not enough of it that nobody needs, so that they
// are on its disk.
func memoryFor(hosts int) uint64 {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil || available(string(meminfo)) < uint64(hosts+1)*hostMemory {
		return 0
	}
	return hostMemory
}

// available is MemAvailable of /proc/meminfo in bytes, or 0; see
// proc_meminfo(5).
func available(meminfo string) (n uint64) {
	for line := range strings.Lines(meminfo) {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &n); err == nil {
			return n << 10
		}
	}
	return 0
}
