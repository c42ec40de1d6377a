// Package conf reads and writes the files NAME.conf of nixos-container(8):
// lines KEY=VALUE, which systemd reads as EnvironmentFile= of the container's
// unit. What the keys mean is said elsewhere.
package conf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The keys that nixos-container and the NixOS module know.
const (
	SystemPath       = "SYSTEM_PATH"
	Flake            = "FLAKE"
	PrivateNetwork   = "PRIVATE_NETWORK"
	PrivateUsers     = "PRIVATE_USERS"
	HostBridge       = "HOST_BRIDGE"
	HostPort         = "HOST_PORT"
	HostAddress      = "HOST_ADDRESS"
	LocalAddress     = "LOCAL_ADDRESS"
	HostAddress6     = "HOST_ADDRESS6"
	LocalAddress6    = "LOCAL_ADDRESS6"
	LocalMACAddress  = "LOCAL_MAC_ADDRESS"
	NetworkNamespace = "NETWORK_NAMESPACE_PATH"
	Interfaces       = "INTERFACES"
	Macvlans         = "MACVLANS"
	AutoStart        = "AUTO_START"
	ExtraFlags       = "EXTRA_NSPAWN_FLAGS"
	CopyResolvConf   = "COPY_RESOLV_CONF"
)

// StoreAccess and NixInGuest are keys of berth's alone, which the others take for
// variables of no meaning: closure or host, and none, daemon or own.
const (
	StoreAccess = "STORE_ACCESS"
	NixInGuest  = "NIX_IN_GUEST"
)

// Known are all of these.
func Known() []string {
	return []string{SystemPath, Flake, PrivateNetwork, PrivateUsers, HostBridge, HostPort, HostAddress, LocalAddress, HostAddress6, LocalAddress6,
		LocalMACAddress, NetworkNamespace, Interfaces, Macvlans, AutoStart, ExtraFlags, CopyResolvConf, StoreAccess, NixInGuest}
}

// Assignment is one key with its value, as systemd understands it.
type Assignment struct {
	Key, Value string
	Line       int // where the key stands, from 1
}

// MaxSize is the largest file, in bytes.
const MaxSize = 1 << 20

// SyntaxError says what of a file cannot be used.
type SyntaxError struct {
	Line int
	Err  error
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives Err.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Parse gives each key once, with its last value, in the order of the file;
// see EnvironmentFile= in systemd.exec(5). Lines that assign nothing are left
// out, as systemd does. An error is a *SyntaxError.
func Parse(text []byte) ([]Assignment, error) {
	if len(text) > MaxSize {
		return nil, &SyntaxError{1, fmt.Errorf("the file is larger than 1 MiB")}
	}
	if err := check(text); err != nil {
		return nil, err
	}
	p := parser{line: 1, state: beforeKey}
	for _, r := range string(text) {
		p.state = p.state(&p, r)
		if r == '\n' {
			p.line++
		}
	}
	if p.quoted { // for systemd the file's end is the quote's
		p.assign()
	} else {
		p.state(&p, '\n')
	}
	return lastOnes(p.out), nil
}

// check refuses what no value may have: other control characters than tabs and
// line breaks, and what is not text.
func check(text []byte) error {
	line := 1
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return &SyntaxError{line, fmt.Errorf("the byte 0x%02x is not UTF-8 text", text[i])}
		case r == '\n':
			line++
		case unicode.IsControl(r) && r != '\t' && r != '\r':
			return &SyntaxError{line, fmt.Errorf("the control character %U", r)}
		}
		i += n
	}
	return nil
}

// lastOnes leaves the last of several assignments to one key.
func lastOnes(all []Assignment) []Assignment {
	last := map[string]int{}
	for i, a := range all {
		last[a.Key] = i
	}
	var out []Assignment
	for i, a := range all {
		if last[a.Key] == i {
			out = append(out, a)
		}
	}
	return out
}

// Get is the value of a key, or "".
func Get(all []Assignment, key string) string {
	for _, a := range all {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// IsTrue reads a switch: 1 in what nixos-container writes, and words in what
// people do.
func IsTrue(value string) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true
	}
	return false
}

// Format is the file with these assignments. Values are without quotes where
// they can be, since nixos-container looks for them so. It refuses values that
// no file can hold.
func Format(all []Assignment) ([]byte, error) {
	var b strings.Builder
	for _, a := range all {
		if !isVariable(a.Key) || strings.ContainsFunc(a.Value, unicode.IsControl) || !utf8.ValidString(a.Value) {
			return nil, fmt.Errorf("%s cannot have the value %q: it is not one line of text", a.Key, a.Value)
		}
		b.WriteString(a.Key + "=" + quote(a.Value) + "\n")
	}
	return []byte(b.String()), nil
}

// plain are characters that stand for themselves everywhere in a value.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:#@%+,=~?&-*!()[]{}<>|^;"

func quote(value string) string {
	if strings.Trim(value, plain) == "" {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(value) + `"`
}

func isVariable(key string) bool {
	for i, r := range key {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return key != ""
}
