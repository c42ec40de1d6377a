package ingress

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challenges are what an authority asks for to see that a host is ours (RFC
// 8555, section 8.3, and RFC 8737), while it asks.
type challenges struct {
	mu     sync.Mutex
	tokens map[[2]string]string // by host and path
	certs  map[string]*tls.Certificate
}

func newChallenges() *challenges {
	return &challenges{tokens: map[[2]string]string{}, certs: map[string]*tls.Certificate{}}
}

// tokenPath is where the tokens of http-01 are below.
const tokenPath = "/.well-known/acme-challenge/"

// http is the answer to a request of http-01, if it is one of ours.
func (c *challenges) http(host, path string) (string, bool) {
	if !strings.HasPrefix(path, tokenPath) {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, ok := c.tokens[[2]string{host, path}]
	return answer, ok
}

// asked reports whether a handshake is one of tls-alpn-01.
func asked(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{acmez.ACMETLS1Protocol})
}

// tls is the certificate that answers tls-alpn-01; nil if it is not asked for.
func (c *challenges) tls(host string) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certs[host]
}

// solvers are for the two kinds.
func (c *challenges) solvers() map[string]acmez.Solver {
	return map[string]acmez.Solver{
		acme.ChallengeTypeHTTP01:    &httpSolver{c},
		acme.ChallengeTypeTLSALPN01: &tlsSolver{c},
	}
}

type httpSolver struct{ *challenges }

// Present implements acmez.Solver.
func (s *httpSolver) Present(_ context.Context, chal acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[tokenKey(chal)] = chal.KeyAuthorization
	return nil
}

// CleanUp implements acmez.Solver.
func (s *httpSolver) CleanUp(_ context.Context, chal acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, tokenKey(chal))
	return nil
}

func tokenKey(chal acme.Challenge) [2]string {
	return [2]string{chal.Identifier.Value, chal.HTTP01ResourcePath()}
}

type tlsSolver struct{ *challenges }

// Present implements acmez.Solver.
func (s *tlsSolver) Present(_ context.Context, chal acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(chal)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs[chal.Identifier.Value] = cert
	return nil
}

// CleanUp implements acmez.Solver.
func (s *tlsSolver) CleanUp(_ context.Context, chal acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certs, chal.Identifier.Value)
	return nil
}
