package container

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// HostPort is a port of the host, or a range of ports, that a guest may use.
// As text it is "PROTOCOL/FIRST-LAST", where tcp/ and -LAST may be left out,
// or "all".
type HostPort struct {
	Protocol    string // tcp or udp; empty: all ports of both
	First, Last uint16
}

func (p HostPort) String() string {
	switch {
	case p.Protocol == "":
		return "all"
	case p.First == p.Last:
		return fmt.Sprintf("%s/%d", p.Protocol, p.First)
	}
	return fmt.Sprintf("%s/%d-%d", p.Protocol, p.First, p.Last)
}

// ParseHostPort reads what String writes.
func ParseHostPort(s string) (HostPort, error) {
	if s == "all" {
		return HostPort{}, nil
	}
	protocol, ports, ok := strings.Cut(s, "/")
	if !ok {
		protocol, ports = "tcp", s
	}
	first, last, err := ParsePorts(ports)
	if err != nil || protocol != "tcp" && protocol != "udp" {
		return HostPort{}, fmt.Errorf("%q is not a port such as 5432, udp/53 or tcp/8000-8010, nor all", s)
	}
	return HostPort{protocol, first, last}, nil
}

// ParsePorts reads one port, or FIRST-LAST.
func ParsePorts(s string) (first, last uint16, err error) {
	a, b, ranged := strings.Cut(s, "-")
	if !ranged {
		b = a
	}
	from, err1 := strconv.ParseUint(a, 10, 16)
	to, err2 := strconv.ParseUint(b, 10, 16)
	if err := cmp.Or(err1, err2); err != nil || from == 0 || to < from {
		return 0, 0, fmt.Errorf("%q is neither a port from 1 to 65535 nor a range of ports such as 8000-8010", s)
	}
	return uint16(from), uint16(to), nil
}

// MarshalText gives the text of p.
func (p HostPort) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (p *HostPort) UnmarshalText(b []byte) (err error) {
	h, err := ParseHostPort(string(b))
	if err == nil {
		*p = h
	}
	return err
}
