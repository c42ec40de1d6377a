package ingress

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-containers/berth/internal/state"
)

// How long certificates of berth's own authority are valid. Those of hosts are
// kept nowhere: a new process makes new ones.
const (
	rootAge = 10 * 365 * 24 * time.Hour
	hostAge = 30 * 24 * time.Hour
	// early is how far back they begin, for clients whose clocks are behind.
	early = time.Hour
)

// authority is berth's own certificate authority. Its root is made when it is
// first needed, and kept.
type authority struct {
	paths state.Paths

	mu    sync.Mutex
	root  *tls.Certificate
	hosts map[string]*tls.Certificate
}

// Root is the certificate of berth's own authority, as PEM, for those who are
// to trust it. It is made if there is none.
func Root(ctx context.Context, paths state.Paths) (string, error) {
	root, err := (&authority{paths: paths}).load(ctx)
	if err != nil {
		return "", err
	}
	return certificatePEM(root.Certificate[0]), nil
}

// load reads the root, or makes it where there is none or it is no longer valid.
func (a *authority) load(ctx context.Context) (_ *tls.Certificate, err error) {
	dir := a.paths.Ingress()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := state.AwaitLock(ctx, filepath.Join(dir, "ca.lock"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	path := filepath.Join(dir, "ca.json")
	var p pair
	switch err := state.ReadJSON(path, &p); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		root, err := p.load()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if time.Now().Before(root.Leaf.NotAfter) {
			return root, nil
		}
	}
	if p, err = newRoot(time.Now()); err != nil {
		return nil, err
	}
	if err := state.WriteJSON(path, p); err != nil {
		return nil, err
	}
	return p.load()
}

// newRoot makes a root that may sign certificates of hosts, and no authorities.
func newRoot(now time.Time) (pair, error) {
	key, text, err := newKey()
	if err != nil {
		return pair{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return pair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return pair{}, err
	}
	id := sha1.Sum(public) // the usual name of a key, no secret
	t := &x509.Certificate{
		SerialNumber:          nil,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("berth on %s %s", host, hex.EncodeToString(id[:4]))},
		SubjectKeyId:          id[:],
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(rootAge),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return pair{certificatePEM(der), text}, err
}

// certificate is one for a host, or for the hosts that a star stands for.
func (a *authority) certificate(ctx context.Context, host string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if c := a.hosts[host]; c != nil && now.Before(c.Leaf.NotAfter.Add(-hostAge/3)) {
		return c, nil
	}
	if a.root == nil || !now.Before(a.root.Leaf.NotAfter) {
		root, err := a.load(ctx)
		if err != nil {
			return nil, err
		}
		a.root, a.hosts = root, map[string]*tls.Certificate{}
	}
	c, err := a.sign(host, now)
	if err == nil {
		a.hosts[host] = c
	}
	return c, err
}

func (a *authority) sign(host string, now time.Time) (*tls.Certificate, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	end := now.Add(hostAge)
	if end.After(a.root.Leaf.NotAfter) {
		end = a.root.Leaf.NotAfter
	}
	t := &x509.Certificate{
		DNSNames:    []string{host},
		NotBefore:   now.Add(-early),
		NotAfter:    end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.root.Leaf, key.Public(), a.root.PrivateKey)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// forget drops the certificates of hosts that are not among these.
func (a *authority) forget(hosts []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := map[string]*tls.Certificate{}
	for _, h := range hosts {
		if c := a.hosts[h]; c != nil {
			kept[h] = c
		}
	}
	a.hosts = kept
}
