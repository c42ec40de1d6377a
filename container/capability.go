package container

import (
	"fmt"
	"slices"
	"strings"
)

// Capability is a Linux capability by its name, such as CAP_NET_ADMIN, or
// "all".
type Capability string

// capabilities are those of capabilities(7), up to Linux 6.18.
var capabilities = strings.Fields(`
CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF
CAP_CHECKPOINT_RESTORE CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
CAP_FOWNER CAP_FSETID CAP_IPC_LOCK CAP_IPC_OWNER CAP_KILL CAP_LEASE
CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_MKNOD CAP_NET_ADMIN
CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_RAW CAP_PERFMON CAP_SETFCAP
CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_CHROOT
CAP_SYS_MODULE CAP_SYS_NICE CAP_SYS_PACCT CAP_SYS_PTRACE CAP_SYS_RAWIO
CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_SYSLOG CAP_WAKE_ALARM`)

// ParseCapability reads a capability's name in capital letters, or "all".
func ParseCapability(s string) (Capability, error) {
	if s != "all" && !slices.Contains(capabilities, s) {
		return "", fmt.Errorf("%q is not a capability of capabilities(7)", s)
	}
	return Capability(s), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Capability) UnmarshalText(b []byte) error {
	v, err := ParseCapability(string(b))
	if err == nil {
		*c = v
	}
	return err
}

// Capabilities are all capabilities by name, without "all".
func Capabilities() []Capability {
	var all []Capability
	for _, c := range capabilities {
		all = append(all, Capability(c))
	}
	return all
}
