package ingress

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/berth-containers/berth/internal/state"
)

// LetsEncrypt is the authority that is asked where the host's settings name no
// other.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// ACME says which authority gives certificates.
type ACME struct {
	Directory string // the URL of its directory (RFC 8555); empty: LetsEncrypt
	Root      string // a file of PEM with what its own server is checked by; empty: the host's authorities
	Email     string // where it may write to; may be empty
}

const (
	requestTimeout = 30 * time.Second // of one request to the authority
	obtainTimeout  = 5 * time.Minute  // of all that one certificate takes
)

// issuer gets certificates from one authority, with one account.
type issuer struct {
	ACME
	dir        string
	challenges *challenges
	limits     *rateLimits

	mu      sync.Mutex
	client  *acmez.Client // nil until the first certificate
	account acme.Account
}

// account is the file of an account.
type account struct {
	acme.Account
	Key string `json:"key"` // as in a pair
}

// ready makes the client and the account, once.
func (i *issuer) ready(ctx context.Context) (*acmez.Client, acme.Account, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		if i.Root != "" {
			roots, err := readRoots(i.Root)
			if err != nil {
				return nil, acme.Account{}, err
			}
			transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		}
		i.limits.next = transport
		i.client = &acmez.Client{
			Client: &acme.Client{
				Directory:  i.Directory,
				HTTPClient: &http.Client{Transport: i.limits, Timeout: requestTimeout},
				UserAgent:  "berth",
			},
			ChallengeSolvers: i.challenges.solvers(),
		}
	}
	if i.account.Status != acme.StatusValid {
		a, err := i.openAccount(ctx)
		if err != nil {
			return nil, a, fmt.Errorf("account at %s: %w", i.Directory, err)
		}
		i.account = a
	}
	return i.client, i.account, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return pool, nil
}

// accountFile is where the account is kept: one for each directory.
func (i *issuer) accountFile() string {
	sum := sha256.Sum256([]byte(i.Directory))
	return filepath.Join(i.dir, "account-"+hex.EncodeToString(sum[:8])+".json")
}

// openAccount reads the account, or makes one.
func (i *issuer) openAccount(ctx context.Context) (acme.Account, error) {
	var a account
	err := state.ReadJSON(i.accountFile(), &a)
	if err == nil {
		a.PrivateKey, err = parseKey(a.Key)
		return a.Account, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return a.Account, err
	}
	if a.PrivateKey, a.Key, err = newKey(); err != nil {
		return a.Account, err
	}
	a.TermsOfServiceAgreed = true // whoever writes tls: acme agrees; the manual says so
	if i.Email != "" {
		a.Contact = []string{"mailto:" + i.Email}
	}
	if a.Account, err = i.client.NewAccount(ctx, a.Account); err != nil {
		return a.Account, err
	}
	return a.Account, state.WriteJSON(i.accountFile(), a)
}

// forgetAccount is for an authority that does not know it any more.
func (i *issuer) forgetAccount() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.account = acme.Account{}
	return state.RemoveFile(i.accountFile())
}

// obtain gets a certificate for a host; old is the one that it replaces, if
// there is one.
func (i *issuer) obtain(ctx context.Context, host string, old *x509.Certificate) (pair, *acme.RenewalInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	p, info, err := i.order(ctx, host, old)
	if problem, ok := errors.AsType[acme.Problem](err); ok && problem.Type == acme.ProblemTypeAccountDoesNotExist {
		if err := i.forgetAccount(); err != nil {
			return p, info, err
		}
		return i.order(ctx, host, old)
	}
	return p, info, err
}

func (i *issuer) order(ctx context.Context, host string, old *x509.Certificate) (pair, *acme.RenewalInfo, error) {
	client, account, err := i.ready(ctx)
	if err != nil {
		return pair{}, nil, err
	}
	key, text, err := newKey()
	if err != nil {
		return pair{}, nil, err
	}
	csr, err := acmez.NewCSR(key, []string{host})
	if err != nil {
		return pair{}, nil, err
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return pair{}, nil, err
	}
	order.Replaces = old
	chains, err := client.ObtainCertificate(ctx, order)
	if err != nil {
		return pair{}, nil, err
	}
	if len(chains) == 0 {
		return pair{}, nil, fmt.Errorf("%s gave no certificate", i.Directory)
	}
	p := pair{string(chains[0].ChainPEM), text}
	c, err := p.load()
	if err == nil {
		err = c.Leaf.VerifyHostname(host)
	}
	return p, chains[0].RenewalInfo, err
}

// renewal asks when the authority wants a certificate renewed (RFC 9773).
func (i *issuer) renewal(ctx context.Context, leaf *x509.Certificate) (acme.RenewalInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	client, _, err := i.ready(ctx)
	if err != nil {
		return acme.RenewalInfo{}, err
	}
	return client.GetRenewalInfo(ctx, leaf)
}

// rateLimits remembers until when an authority wants to be left alone.
type rateLimits struct {
	next http.RoundTripper

	mu    sync.Mutex
	until time.Time
}

// RoundTrip implements http.RoundTripper.
func (l *rateLimits) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err == nil && (res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable) {
		l.note(res.Header.Get("Retry-After"))
	}
	return res, err
}

// note reads a Retry-After, which is a number of seconds or a date.
func (l *rateLimits) note(after string) {
	until, err := http.ParseTime(after)
	if seconds, notNumber := strconv.ParseUint(after, 10, 31); notNumber == nil {
		until, err = time.Now().Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(l.until) {
		l.until = until
	}
}

// free is the time when the authority may be asked again, if it is after now.
func (l *rateLimits) free(now time.Time) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until, l.until.After(now)
}
