package container

import (
	"fmt"
	"strings"
)

// Ingress is a name for which the host answers HTTP and HTTPS, and passes what
// is asked on to the guest.
type Ingress struct {
	Host string `json:"host"` // such as www.example.com, or *.example.com
	Port uint16 `json:"port"` // of the guest, which speaks HTTP there
	TLS  TLS    `json:"tls"`
}

// The ports at which the host answers HTTP and HTTPS for guests.
const (
	IngressHTTP  = 80
	IngressHTTPS = 443
)

// TLS is where the certificate for an Ingress comes from.
type TLS string

// The kinds of TLS.
const (
	TLSACME     TLS = "acme"     // an authority that speaks ACME (RFC 8555), such as Let's Encrypt
	TLSInternal TLS = "internal" // an authority of berth's own
	TLSOff      TLS = "off"      // none: HTTP only
)

// Check says what is wrong with an Ingress whose parts are right.
func (i Ingress) Check() error {
	switch {
	case i.TLS == TLSACME && strings.HasPrefix(i.Host, "*"):
		return fmt.Errorf("no authority gives a certificate for %s by tls: acme, since berth cannot prove that the whole domain is yours", i.Host)
	case i.TLS == TLSACME && !strings.Contains(i.Host, "."):
		return fmt.Errorf("no authority gives a certificate for %s by tls: acme, since it is no name of the public DNS", i.Host)
	}
	return nil
}

// maxHostLen is the longest name in the DNS (RFC 1035), without the last dot.
const maxHostLen = 253

// ParseHost returns s in small letters if it is the name of a host, with *. in
// front for all names one level below it.
func ParseHost(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	bad := fmt.Errorf("%q is not the name of a host such as www.example.com or *.example.com", s)
	if len(name) > maxHostLen || name == "" {
		return "", bad
	}
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	for _, l := range labels {
		if !isLabel(l) {
			return "", bad
		}
	}
	if isDigits(labels[len(labels)-1]) {
		return "", fmt.Errorf("%q is an address; a name is needed here", s)
	}
	return name, nil
}

// ParseAlias returns s in small letters if it can be a further name of a guest
// among its networks: one or more labels of the DNS.
func ParseAlias(s string) (string, error) {
	name := strings.ToLower(s)
	bad := fmt.Errorf("%q cannot be a guest's name: allowed are letters, digits, %q, and dots between labels", s, '-')
	if len(name) > maxHostLen {
		return "", bad
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !isLabel(l) {
			return "", bad
		}
	}
	last := labels[len(labels)-1]
	switch {
	case isDigits(last):
		return "", fmt.Errorf("%q would be taken for an address", s)
	case name == "localhost" || last == "localhost":
		return "", fmt.Errorf("%q is every machine's name for itself", s)
	case name == "containers":
		return "", fmt.Errorf("%q is the domain of all guests", s)
	}
	return name, nil
}

// isLabel reports whether s is a label of RFC 1123 in small letters.
func isLabel(s string) bool {
	if s == "" || len(s) > MaxNameLen || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !isAlnum(r) && r != '-' || r >= 'A' && r <= 'Z' })
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
