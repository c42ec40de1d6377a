package nix

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/berth-containers/berth/container"
)

// NixOSKey is the key of cache.nixos.org, which is trusted where the host's
// settings name no others.
const NixOSKey = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

// Keys are the public keys of those whose word counts.
type Keys []signature.PublicKey

// ParseKeys reads public keys as "NAME:BASE64".
func ParseKeys(texts []string) (Keys, error) {
	var out Keys
	for _, t := range texts {
		k, err := signature.ParsePublicKey(t)
		if err != nil {
			return nil, fmt.Errorf("%q is not a public key such as %s", clip(t), NixOSKey)
		}
		out = append(out, k)
	}
	return out, nil
}

// Verify finds a signature of one of the keys. Its error is a
// *container.Error with a hint. A path whose name is made of its content needs
// a signature as well.
func (k Keys) Verify(i Info) error {
	sigs := signaturesOf(i)
	print := i.fingerprint()
	var forged, strangers []string
	for _, s := range sigs {
		named := slices.DeleteFunc(slices.Clone(k), func(key signature.PublicKey) bool { return key.Name != s.Name })
		switch {
		case slices.ContainsFunc(named, func(key signature.PublicKey) bool { return key.Verify(print, s) }):
			return nil
		case len(named) > 0:
			forged = append(forged, clip(s.Name))
		default:
			strangers = append(strangers, clip(s.Name))
		}
	}
	e := &container.Error{Subject: string(i.Path)}
	switch {
	case len(forged) > 0:
		e.Err = fmt.Errorf("%w: that by %s does not fit what the cache says of the path", ErrSignature, strings.Join(forged, ", "))
		e.Hint = "the cache, or the way to it, is not to be trusted; or the key in /etc/berth/berth.yaml is not the one that it signs with"
	case len(strangers) > 0:
		e.Err = fmt.Errorf("%w: it is signed by %s, and not by a key that is trusted", ErrSignature, strings.Join(strangers, ", "))
		e.Hint = "if you trust that key, add it to nix.trustedPublicKeys in /etc/berth/berth.yaml; berth nix pull also takes it with --trusted-public-key"
	default:
		e.Err = fmt.Errorf("%w: it has none", ErrSignature)
		e.Hint = "sign it in the cache (nix store sign --store CACHE --key-file FILE -r PATH), and add that key to nix.trustedPublicKeys in /etc/berth/berth.yaml; berth nix pull also takes it with --trusted-public-key"
	}
	return e
}

// ErrSignature says that nobody who is trusted vouches for a store path.
var ErrSignature = errors.New("no good signature")

// Signer signs store paths.
type Signer struct{ key signature.SecretKey }

// ParseSigner reads a secret key as "NAME:BASE64", which is how
// nix-store --generate-binary-cache-key writes it.
func ParseSigner(text string) (*Signer, error) {
	k, err := signature.LoadSecretKey(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("it is not a secret key such as nix-store --generate-binary-cache-key makes")
	}
	return &Signer{k}, nil
}

// Sign adds a signature to i, instead of one of the same key.
func (s *Signer) Sign(i *Info) error {
	sig, err := s.key.Sign(nil, i.fingerprint())
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(i.Signatures), func(t string) bool { return strings.HasPrefix(t, sig.Name+":") })
	i.Signatures = append(others, sig.String())
	return nil
}

// signaturesOf are those of i that are well-formed.
func signaturesOf(i Info) []signature.Signature {
	var out []signature.Signature
	for _, t := range i.Signatures {
		if s, err := signature.ParseSignature(t); err == nil {
			out = append(out, s)
		}
	}
	return out
}
