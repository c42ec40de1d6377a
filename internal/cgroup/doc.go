// Package cgroup makes, limits, freezes and empties control groups on hosts
// whose PID 1 is not systemd, in the v2 hierarchy, the v1 hierarchies, or both
// side by side (hybrid). It knows nothing of containers.
package cgroup
