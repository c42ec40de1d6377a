package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/plain"
)

// What holds where a health check does not say.
const (
	checkInterval = container.Duration(time.Second)
	checkTimeout  = container.Duration(5 * time.Second)
)

func interval(c *container.HealthCheck) time.Duration {
	return time.Duration(cmp.Or(c.Interval, checkInterval))
}

// Health is whether a running container does its work, by its health check; nil
// where it has none or does not run.
func (e *Engine) Health(ctx context.Context, n container.Name) (*container.Health, error) {
	rec, err := e.Record(n)
	if err != nil || rec.Spec.HealthCheck == nil {
		return nil, err
	}
	obs, err := e.supervisor.Observe(n)
	if err != nil || obs.State != container.Running {
		return nil, err
	}
	check := *rec.Spec.HealthCheck
	for try := 1; ; try++ {
		err := e.check(ctx, n, check)
		if err == nil {
			return &container.Health{OK: true}, nil
		}
		if try >= max(check.Retries, 1) || ctx.Err() != nil {
			return &container.Health{Trouble: err.Error()}, nil
		}
		select {
		case <-time.After(interval(&check)):
		case <-ctx.Done():
		}
	}
}

// check does a health check once; the error says what is wrong.
func (e *Engine) check(ctx context.Context, n container.Name, c container.HealthCheck) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(cmp.Or(c.Timeout, checkTimeout)))
	defer cancel()
	switch {
	case len(c.Command) > 0:
		said, code := e.ask(ctx, n, c.Command...)
		if code != 0 {
			return fmt.Errorf("healthCheck: %s ended with %d%s", strings.Join(c.Command, " "), code, lastLine(said))
		}
		return nil
	case c.TCP != "":
		conn, err := e.dialGuest(ctx, n, c.TCP)
		if err != nil {
			return fmt.Errorf("healthCheck: %w", err)
		}
		return conn.Close()
	}
	return e.checkHTTP(ctx, n, c.HTTP)
}

// lastLine is what a program said last, in a form to come behind a sentence.
func lastLine(said []byte) string {
	text := strings.TrimSpace(string(said))
	if text == "" {
		return ""
	}
	return ": " + plain.Text(text[strings.LastIndexByte(text, '\n')+1:])
}

// checkHTTP asks for a URL as the guest sees it. Whose certificate it is does
// not matter: that the guest answers does.
func (e *Engine) checkHTTP(ctx context.Context, n container.Name, url string) error {
	client := http.Client{
		Transport: &http.Transport{
			DialContext:       func(ctx context.Context, _, address string) (net.Conn, error) { return e.dialGuest(ctx, n, address) },
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("healthCheck: %w", err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("healthCheck: %w", err)
	}
	if err := answer.Body.Close(); err != nil {
		return fmt.Errorf("healthCheck: %s: %w", url, err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("healthCheck: %s answers with %d %s", url, answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return nil
}

// dialGuest connects to an address as the guest would.
func (e *Engine) dialGuest(ctx context.Context, n container.Name, address string) (net.Conn, error) {
	obs, err := e.locate(n)
	if err != nil {
		return nil, err
	}
	if obs.Leader == 0 {
		return nil, container.ErrNotRunning
	}
	g, err := e.enter(ctx, obs)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addressesOf(ctx, host) {
		conn, err := g.Dial(ctx, net.JoinHostPort(a, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("connect to %s in the guest: %w", address, err))
	}
	return nil, cmp.Or(errors.Join(errs[:min(1, len(errs))]...), fmt.Errorf("%s: no such host", host))
}

// addressesOf are those to which a host's name leads: the guest's own loopback
// addresses where it is empty or localhost, and otherwise what this machine
// knows.
func addressesOf(ctx context.Context, host string) []string {
	if host == "" || host == "localhost" {
		return []string{"127.0.0.1", "::1"}
	}
	if net.ParseIP(host) != nil {
		return []string{host}
	}
	found, _ := net.DefaultResolver.LookupHost(ctx, host)
	return found
}
