package declare

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/nix"
)

// Settings are the host's own: the file /etc/berth/berth.yaml. It is no
// declaration and declares no containers.
type Settings struct {
	Network NetworkSettings
	Ingress IngressSettings
	Nix     NixSettings
}

// NetworkSettings are about the network that guests are on by default. What is
// empty is for berth to choose.
type NetworkSettings struct {
	Bridge          string // the name of an interface
	Subnet, Subnet6 container.Subnet
}

// IngressSettings are about certificates for the key ingress.
type IngressSettings struct {
	ACMEDirectory string // the URL of an authority's directory (RFC 8555); empty: Let's Encrypt
	ACMERoot      string // a file with the certificate that the authority's own server is checked by; empty: the host's
	Email         string // where the authority may write to
}

// NixSettings are about store paths that come from binary caches.
type NixSettings struct {
	TrustedPublicKeys []string // whose signatures count, as "NAME:BASE64"; nil: that of cache.nixos.org
}

// ParseSettings reads the host's settings, as strictly as a declaration. path
// is the file, for messages. A file that says nothing is well.
func ParseSettings(in io.Reader, path string) (Settings, error) {
	var s Settings
	p, err := newParser(path, 0)
	if err != nil {
		return s, err
	}
	text, problem := readText(in, p.file)
	if problem != nil {
		return s, problemsOf([]*Problem{problem})
	}
	node, problem := readNode(text, p.file)
	if problem != nil {
		return s, problemsOf([]*Problem{problem})
	}
	if node != nil {
		c := &composer{file: p.file, report: p.report}
		if root := c.value(node, ""); !c.stopped && root.kind != kindNothing {
			p.settings(&s, root)
		}
	}
	return s, problemsOf(p.problems)
}

func (p *parser) settings(s *Settings, root *value) {
	r := &reader{dir: "/", keys: map[string]Position{}, report: func(one *Problem) {
		switch one.Key {
		case "containers", "networks":
			one.Hint = "this is for the host's settings: declare " + one.Key + " in a file of /etc/berth/containers"
		}
		p.report(one)
	}}
	top := path{}
	if r.expect(top, root, kindMap, "a map with keys such as network") {
		readFields(r, top, root, settingsFields(), s)
	}
}

func settingsFields() []field[Settings] {
	type (
		net = NetworkSettings
		ing = IngressSettings
		nix = NixSettings
	)
	network := object("a map of keys such as subnet", net{}, bothNone,
		key("bridge", interfaceName(), func(n *net) *string { return &n.Bridge }),
		key("subnet", subnet(false), func(n *net) *container.Subnet { return &n.Subnet }),
		key("subnet6", subnet(true), func(n *net) *container.Subnet { return &n.Subnet6 }),
	)
	ingress := object("a map of keys such as email", ing{}, nil,
		key("acmeDirectory", plain("a URL", "^https://", directoryURL).codec(), func(i *ing) *string { return &i.ACMEDirectory }),
		key("acmeRoot", hostPath(), func(i *ing) *string { return &i.ACMERoot }),
		key("email", plain("an e-mail address", "@", emailAddress).codec(), func(i *ing) *string { return &i.Email }),
	)
	store := object("a map of keys such as trustedPublicKeys", nix{}, nil,
		key("trustedPublicKeys", listOf("a list of public keys", plain("a public key", "", publicKey).codec(), itself),
			func(n *nix) *[]string { return &n.TrustedPublicKeys }),
	)
	return []field[Settings]{
		key("network", network, func(s *Settings) *net { return &s.Network }),
		key("ingress", ingress, func(s *Settings) *ing { return &s.Ingress }),
		key("nix", store, func(s *Settings) *nix { return &s.Nix }),
	}
}

func bothNone(_ *reader, _ path, n *NetworkSettings) error {
	if n.Subnet.None && n.Subnet6.None {
		return hinted{errors.New("the default network would have no addresses at all"), "leave out subnet or subnet6"}
	}
	return nil
}

func publicKey(s string) (string, error) {
	_, err := nix.ParseKeys([]string{s})
	return s, err
}

func directoryURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is not the URL of an ACME directory such as https://acme-v02.api.letsencrypt.org/directory", s)
	}
	return s, nil
}

func emailAddress(s string) (string, error) {
	user, host, ok := strings.Cut(s, "@")
	if _, err := container.ParseHost(host); !ok || err != nil || user == "" || strings.ContainsAny(user, " <>,;") {
		return "", fmt.Errorf("%q is not an e-mail address such as admin@example.com", s)
	}
	return s, nil
}
