package ingress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/berth-containers/berth/internal/state"
)

// pace says when things are tried again. The zero pace is never used.
type pace struct {
	// first is the pause after the first failure; it doubles up to most. With 2
	// minutes there are five failures in the first hour, which is what Let's
	// Encrypt allows for a name.
	first, most time.Duration
	look        time.Duration // how often an authority is asked when it wants renewal
}

// usual is the pace outside of tests.
func usual() pace { return pace{2 * time.Minute, time.Hour, 6 * time.Hour} }

// together is how many certificates are got at the same time.
const together = 4

// keeper has the certificates of hosts from an authority that speaks ACME, and
// renews them.
type keeper struct {
	issuer     *issuer
	challenges *challenges
	dir        string
	pace       pace
	changed    func() // called after what status shows
	slots      chan struct{}

	mu    sync.Mutex
	hosts map[string]*held
}

// held is one certificate, or that there is none.
type held struct {
	host   string
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	cert *tls.Certificate // nil: none, or no longer valid
	rec  certificateFile
}

// certificateFile is the file of one host.
type certificateFile struct {
	pair
	Directory string            `json:"directory,omitempty"` // of the authority that gave it
	Renewal   *acme.RenewalInfo `json:"renewal,omitempty"`
	Failures  int               `json:"failures,omitempty"` // since the last success
	Retry     time.Time         `json:"retry,omitzero"`     // not before
	Reason    string            `json:"reason,omitempty"`   // of the last failure
}

func newKeeper(dir string, a ACME, p pace, changed func()) *keeper {
	if a.Directory == "" {
		a.Directory = LetsEncrypt
	}
	c := newChallenges()
	return &keeper{
		issuer:     &issuer{ACME: a, dir: dir, challenges: c, limits: &rateLimits{}},
		challenges: c, dir: dir, pace: p, changed: changed,
		slots: make(chan struct{}, together), hosts: map[string]*held{},
	}
}

// Set says which hosts need certificates. Those of others stay in their files.
func (k *keeper) Set(hosts []string) error {
	if len(hosts) > 0 {
		if err := os.MkdirAll(k.dir, 0o700); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	wanted := map[string]bool{}
	for _, host := range hosts {
		wanted[host] = true
		if k.hosts[host] == nil {
			k.hosts[host] = k.begin(host)
		}
	}
	for host, h := range k.hosts {
		if !wanted[host] {
			h.cancel()
			delete(k.hosts, host)
		}
	}
	return nil
}

// Close stops getting and renewing, and waits for that.
func (k *keeper) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.hosts {
		h.cancel()
	}
	for _, h := range k.hosts {
		<-h.done
	}
}

func (k *keeper) begin(host string) *held {
	ctx, cancel := context.WithCancel(context.Background())
	h := &held{host: host, cancel: cancel, done: make(chan struct{})}
	if err := h.load(k.file(host)); err != nil {
		h.rec.Reason = err.Error() // a new certificate takes its place
	}
	go func() {
		defer close(h.done)
		k.keep(ctx, h)
	}()
	return h
}

func (k *keeper) file(host string) string { return filepath.Join(k.dir, "host-"+host+".json") }

func (h *held) load(path string) error {
	var rec certificateFile
	if err := state.ReadJSON(path, &rec); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	h.rec = rec
	if rec.Chain == "" {
		return nil
	}
	c, err := rec.load()
	if err != nil {
		h.rec.pair = pair{}
		return fmt.Errorf("read %s: %w", path, err)
	}
	h.cert = c
	return nil
}

// keep gets and renews the certificate of h until ctx ends.
func (k *keeper) keep(ctx context.Context, h *held) {
	for {
		wait := time.NewTimer(time.Until(h.next(k.issuer.Directory, k.pace.look)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		select {
		case <-ctx.Done():
			return
		case k.slots <- struct{}{}:
		}
		rec, cert := k.work(ctx, h)
		<-k.slots
		if ctx.Err() != nil {
			return
		}
		if err := state.WriteJSON(k.file(h.host), rec); err != nil { // it serves nevertheless
			fmt.Fprintln(os.Stderr, "berth: keep certificate:", err)
		}
		h.set(rec, cert)
		k.changed()
	}
}

// next is when there is something to do for h: it is to be got or renewed, or
// it is time to ask whether it is.
func (h *held) next(directory string, look time.Duration) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := h.due(directory)
	if soon := time.Now().Add(look); h.cert != nil && due.After(soon) {
		return soon
	}
	return due
}

// due is when the certificate is to be got or renewed.
func (h *held) due(directory string) time.Time {
	switch {
	case h.rec.Failures > 0:
		return h.rec.Retry
	case h.cert == nil || h.rec.Directory != directory:
		return time.Time{}
	}
	end, age := h.cert.Leaf.NotAfter, h.cert.Leaf.NotAfter.Sub(h.cert.Leaf.NotBefore)
	if h.rec.Renewal == nil || !h.rec.Renewal.HasWindow() {
		return end.Add(-age / 3)
	}
	// An authority that wants to be asked late leaves time to try again.
	if late := end.Add(-age / 10); h.rec.Renewal.SelectedTime.After(late) {
		return late
	}
	return h.rec.Renewal.SelectedTime
}

// work does what is due for h, and returns what is to be kept.
func (k *keeper) work(ctx context.Context, h *held) (certificateFile, *tls.Certificate) {
	h.mu.Lock()
	rec, cert, due := h.rec, h.cert, h.due(k.issuer.Directory)
	h.mu.Unlock()
	now := time.Now()
	if due.After(now) {
		// An authority that does not tell, or not now, does not hinder renewal.
		if info, err := k.issuer.renewal(ctx, cert.Leaf); err == nil && !(rec.Renewal != nil && info.SameWindow(*rec.Renewal)) {
			rec.Renewal = &info
		}
		return rec, cert
	}
	if err := k.obtain(ctx, h.host, &rec, &cert); err != nil {
		k.fail(&rec, err, now)
	}
	return rec, cert
}

// obtain puts a new certificate into rec and cert.
func (k *keeper) obtain(ctx context.Context, host string, rec *certificateFile, cert **tls.Certificate) error {
	if until, limited := k.issuer.limits.free(time.Now()); limited {
		return fmt.Errorf("%s wants to be asked again after %s", k.issuer.Directory, until.Format(time.RFC3339))
	}
	var replaced *x509.Certificate
	if *cert != nil && rec.Directory == k.issuer.Directory {
		replaced = (*cert).Leaf
	}
	p, info, err := k.issuer.obtain(ctx, host, replaced)
	if err != nil {
		return err
	}
	c, err := p.load()
	if err == nil {
		*cert, *rec = c, certificateFile{pair: p, Directory: k.issuer.Directory, Renewal: info}
	}
	return err
}

// fail writes into rec that there was a failure, and when to try again.
func (k *keeper) fail(rec *certificateFile, err error, now time.Time) {
	pause := k.pace.most
	if shift := rec.Failures; shift < 16 {
		pause = min(pause, k.pace.first<<shift)
	}
	pause += rand.N(pause/10 + 1) // not all names of a host at once
	rec.Failures++
	rec.Reason = err.Error()
	rec.Retry = now.Add(pause)
	if until, limited := k.issuer.limits.free(now); limited && until.After(rec.Retry) {
		rec.Retry = until
	}
}

func (h *held) set(rec certificateFile, cert *tls.Certificate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rec, h.cert = rec, cert
}

// errNoCertificate says that there is none yet; status says why.
var errNoCertificate = errors.New("no certificate yet")

// certificate is the one for a host. One that is no longer valid is no longer
// used: clients would refuse it, and with good reason.
func (k *keeper) certificate(host string) (*tls.Certificate, error) {
	cert, _ := k.look(host)
	if cert == nil || !time.Now().Before(cert.Leaf.NotAfter) {
		return nil, errNoCertificate
	}
	return cert, nil
}

// look is the certificate for a host, and what is wrong with getting another.
func (k *keeper) look(host string) (cert *tls.Certificate, trouble string) {
	k.mu.Lock()
	h := k.hosts[host]
	k.mu.Unlock()
	if h == nil {
		return nil, ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rec.Failures > 0 {
		trouble = fmt.Sprintf("%s; next try after %s", h.rec.Reason, h.rec.Retry.Format(time.DateTime))
	}
	return h.cert, trouble
}
