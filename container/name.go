package container

import (
	"fmt"
	"strings"
)

// MaxNameLen is the longest name in bytes: a name is a DNS label (RFC 1123)
// and the guest's host name.
const MaxNameLen = 63

// Name is the name of a container. A Name that is not empty is valid: it has
// come through ParseName.
type Name string

// ParseName returns s as a Name. A name has 1 to 63 bytes of a-z, A-Z, 0-9,
// "-" and "_", and starts and ends with a letter or a digit.
func ParseName(s string) (Name, error) {
	if s == "" {
		return "", fmt.Errorf("a container's name is empty")
	}
	if len(s) > MaxNameLen {
		return "", fmt.Errorf("name %q has %d bytes, at most %d are allowed", s, len(s), MaxNameLen)
	}
	for i, r := range s {
		switch {
		case isAlnum(r):
		case (r == '-' || r == '_') && i > 0 && i < len(s)-1:
		case r == '-' || r == '_':
			return "", fmt.Errorf("name %q must start and end with a letter or a digit", s)
		default:
			return "", fmt.Errorf("name %q has the character %q, allowed are letters, digits, %q and %q", s, r, '-', '_')
		}
	}
	return Name(s), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Name) UnmarshalText(b []byte) error {
	v, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = v
	return nil
}

// Hostname is the name as a host name: RFC 1123 knows no underscore.
func (n Name) Hostname() string {
	return strings.ReplaceAll(string(n), "_", "-")
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
