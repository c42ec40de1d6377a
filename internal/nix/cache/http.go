package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds on how long a server may take.
const (
	answerLimit = 30 * time.Second // until an answer begins
	stallLimit  = 60 * time.Second // while nothing comes
	tries       = 5                // to get further, one after the other
	firstPause  = 200 * time.Millisecond
)

// httpSource is a cache behind HTTP.
type httpSource struct {
	base   *url.URL
	client *http.Client
	stall  time.Duration
	pause  time.Duration
}

func newHTTPSource(base *url.URL) *httpSource {
	return &httpSource{base: base, stall: stallLimit, pause: firstPause, client: &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: answerLimit}).DialContext,
		TLSHandshakeTimeout:   answerLimit,
		ResponseHeaderTimeout: answerLimit,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   64,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // a download that goes on must do so in the same bytes
	}}}
}

// resolve is the URL of a file.
func (s *httpSource) resolve(name string) (*url.URL, error) {
	ref, err := url.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no URL", ErrCorrupt, name)
	}
	if ref.Scheme == "http" || ref.Scheme == "https" {
		return ref, nil
	}
	if ref.Scheme != "" || ref.Host != "" || strings.Contains("/"+ref.Path+"/", "/../") {
		return nil, fmt.Errorf("%w: %q does not lie in it", ErrCorrupt, name)
	}
	u := s.base.JoinPath(ref.EscapedPath())
	u.RawQuery = ref.RawQuery
	return u, nil
}

func (s *httpSource) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	u, err := s.resolve(name)
	if err != nil {
		return nil, 0, err
	}
	d := &download{ctx: ctx, source: s, url: u}
	if err := d.again(nil); err != nil {
		return nil, 0, err
	}
	if d.encoding == "" {
		return d, d.size, nil
	}
	plain, err := decode(ctx, d)
	if err != nil {
		return nil, 0, errors.Join(err, d.Close())
	}
	return plain, -1, nil
}

// download is a file that comes in. Where the connection breaks, it goes on
// from there.
type download struct {
	ctx    context.Context
	source *httpSource
	url    *url.URL
	body   io.ReadCloser
	stop   context.CancelCauseFunc // of the request that is under way
	offset int64                   // of what comes next
	size   int64                   // of the whole; -1 where that is not said
	tag    string                  // tells whether the file is still the same one
	failed int                     // tries since something came

	encoding string // that the server has put around the file; see encodingOf
}

var (
	errStalled  = errors.New("nothing came for too long")
	errTransfer = errors.New("it broke off") // matches the errors of a download that has begun
)

func (d *download) Read(b []byte) (int, error) {
	for {
		n, err := d.arriving(b)
		d.offset += int64(n)
		if n > 0 {
			d.failed = 0
			return n, nil
		}
		if err == nil || err == io.EOF {
			return 0, err
		}
		if err := d.again(err); err != nil {
			return 0, fmt.Errorf("%w: %w", errTransfer, err)
		}
	}
}

// arriving reads what comes of the request that is under way, for which it
// does not wait too long.
func (d *download) arriving(b []byte) (int, error) {
	timer := time.AfterFunc(d.source.stall, func() { d.stop(errStalled) })
	defer timer.Stop()
	return d.body.Read(b)
}

// Close ends the download.
func (d *download) Close() error {
	d.stop(context.Canceled)
	return d.body.Close()
}

// again asks for what is still missing, until it gets an answer. cause is why
// it has to.
func (d *download) again(cause error) error {
	if d.body != nil {
		d.Close()
	}
	for {
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		if cause != nil {
			if d.failed++; d.failed >= tries {
				return cause
			}
			if err := wait(d.ctx, d.source.pause<<(d.failed-1)); err != nil {
				return err
			}
		}
		retry, err := d.ask()
		if err == nil || !retry {
			return err
		}
		cause = err
	}
}

// ask asks once, and says whether it makes sense to ask again.
func (d *download) ask() (retry bool, err error) {
	ctx, stop := context.WithCancelCause(d.ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		stop(nil)
		return false, err
	}
	req.Header.Set("User-Agent", "berth")
	req.Header.Set("Accept-Encoding", "identity")
	if d.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		if d.tag != "" {
			req.Header.Set("If-Range", d.tag)
		}
	}
	resp, err := d.source.client.Do(req)
	if err != nil {
		stop(nil)
		return true, err
	}
	d.body, d.stop = resp.Body, stop
	retry, err = d.answer(resp)
	if err != nil {
		d.Close()
	}
	return retry, err
}

func (d *download) answer(resp *http.Response) (retry bool, err error) {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		encoding := encodingOf(resp, d.url)
		if d.offset > 0 && encoding != d.encoding {
			return false, fmt.Errorf("%s: the server sends it in another encoding than before", d.url.Redacted())
		}
		d.size, d.tag, d.encoding = resp.ContentLength, strongTag(resp), encoding
		_, err := io.CopyN(io.Discard, readerFunc(d.arriving), d.offset) // the server starts from the beginning
		return true, err
	case code == http.StatusPartialContent && d.offset > 0:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(d.offset, 10)+"-") {
			return false, fmt.Errorf("%s: the server sent another part than it was asked for", d.url.Redacted())
		}
		return false, nil
	case code == http.StatusNotFound, code == http.StatusGone, code == http.StatusForbidden: // S3 forbids what is not there
		return false, &fs.PathError{Op: "get", Path: d.url.Redacted(), Err: fs.ErrNotExist}
	default:
		again := code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
		return again, fmt.Errorf("%s: the server answers %s", d.url.Redacted(), resp.Status)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func strongTag(resp *http.Response) string {
	tag := resp.Header.Get("ETag")
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return tag
}

// wait lets some time pass, so that a server can recover.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
