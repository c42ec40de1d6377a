package ingress

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// pair is a certificate with those that lead to its root, and its key, as they
// lie in files.
type pair struct {
	Chain string `json:"chain,omitempty"` // PEM, the certificate first
	Key   string `json:"key,omitempty"`   // PEM, PKCS #8
}

// load makes a certificate of p that serves as it is, with its Leaf.
func (p pair) load() (*tls.Certificate, error) {
	c, err := tls.X509KeyPair([]byte(p.Chain), []byte(p.Key))
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// newKey makes a key, and its text for a pair.
func newKey() (crypto.Signer, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, "", err
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// parseKey reads the key of a pair.
func parseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("there is no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
