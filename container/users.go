package container

import (
	"fmt"
	"strconv"
)

// UsersMode says how the guest's users relate to the host's.
type UsersMode int

// The modes of privateUsers; see --private-users= in systemd-nspawn(1).
const (
	UsersPick     UsersMode = iota // a range of the container's own, chosen once and kept
	UsersNo                        // no user namespace: root in the guest is root on the host
	UsersIdentity                  // a user namespace in which every number is the host's
	UsersBase                      // a user namespace that starts at PrivateUsers.Base
)

// IDRange is how many user and group numbers a guest has.
const IDRange = 1 << 16

// PrivateUsers is the value of the key privateUsers.
type PrivateUsers struct {
	Mode UsersMode
	Base uint32 // the host's number of the guest's root, where Mode is UsersBase
}

// ParsePrivateUsers reads "pick", "no", "identity", or the first number of a
// range of 65,536 as decimal digits.
func ParsePrivateUsers(s string) (PrivateUsers, error) {
	switch s {
	case "pick":
		return PrivateUsers{Mode: UsersPick}, nil
	case "no":
		return PrivateUsers{Mode: UsersNo}, nil
	case "identity":
		return PrivateUsers{Mode: UsersIdentity}, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return PrivateUsers{}, fmt.Errorf("%q is none of pick, no, identity or a number", s)
	}
	if n < IDRange || n > 1<<32-2*IDRange {
		return PrivateUsers{}, fmt.Errorf("base %d is outside %d to %d", n, IDRange, uint32(1<<32-2*IDRange))
	}
	return PrivateUsers{Mode: UsersBase, Base: uint32(n)}, nil
}

// String is the form that ParsePrivateUsers reads.
func (p PrivateUsers) String() string {
	switch p.Mode {
	case UsersNo:
		return "no"
	case UsersIdentity:
		return "identity"
	case UsersBase:
		return strconv.FormatUint(uint64(p.Base), 10)
	default:
		return "pick"
	}
}

// MarshalText implements encoding.TextMarshaler.
func (p PrivateUsers) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *PrivateUsers) UnmarshalText(b []byte) error {
	v, err := ParsePrivateUsers(string(b))
	if err == nil {
		*p = v
	}
	return err
}
