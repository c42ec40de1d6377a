package container

import (
	"fmt"
	"strings"
	"unicode"
)

// ParseVariable returns s if it can name an environment variable: letters,
// digits and "_", with no digit in front.
func ParseVariable(s string) (string, error) {
	ok := s != "" && (s[0] < '0' || s[0] > '9')
	if !ok || strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && r != '_' }) {
		return "", fmt.Errorf("%q cannot name an environment variable: allowed are letters, digits and %q, with no digit in front", s, '_')
	}
	return s, nil
}

// ParseLabel returns s if it can be the key of a label.
func ParseLabel(s string) (string, error) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("._/-", r) }) {
		return "", fmt.Errorf("%q cannot be a label: allowed are letters, digits and any of ._/-", s)
	}
	return s, nil
}

// ParseLine returns s if it is one line: no control character but tabs.
func ParseLine(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return "", fmt.Errorf("%q has a line break or another control character", s)
	}
	return s, nil
}

// maxCredentialIDLen is the longest name of a file.
const maxCredentialIDLen = 255

// ParseCredentialID returns s if it can name a credential, and so a file; see
// CREDENTIALS in systemd.exec(5).
func ParseCredentialID(s string) (string, error) {
	bad := func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("._-@", r) }
	if s == "" || s == "." || s == ".." || len(s) > maxCredentialIDLen || strings.ContainsFunc(s, bad) {
		return "", fmt.Errorf("%q cannot name a credential: allowed are letters, digits and any of ._@-", s)
	}
	return s, nil
}

// ParseSystemCall returns s if it has the form of an entry of
// --system-call-filter= in systemd-nspawn(1): a system call or @GROUP, with ~
// in front to forbid it.
func ParseSystemCall(s string) (string, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(s, "~"), "@")
	bad := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-') }
	if name == "" || strings.ContainsFunc(name, bad) {
		return "", fmt.Errorf("%q is not a system call such as mount or ~mount, nor a group such as @keyring", s)
	}
	return s, nil
}

// ParseModifier returns s if it has at least one of r, w and m, none twice.
func ParseModifier(s string) (string, error) {
	for i, r := range s {
		if !strings.ContainsRune("rwm", r) || strings.ContainsRune(s[:i], r) {
			return "", fmt.Errorf("%q is not made of r (read), w (write) and m (mknod)", s)
		}
	}
	if s == "" {
		return "", fmt.Errorf("no access is named: write one or more of r (read), w (write) and m (mknod)")
	}
	return s, nil
}
