package ingress

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// exchange is one request and its answer. It is the http.ResponseWriter that
// handlers see, and the body that they read: nobody may let a transfer stand
// still for longer than limit, while it may take as long as it wants.
type exchange struct {
	http.ResponseWriter
	control *http.ResponseController
	request *http.Request
	limit   time.Duration
	begun   time.Time
	route   *route // nil: nobody's
	body    *body  // nil: there is none
	status  int
	written int64
	failure string

	mu   sync.Mutex
	done bool
}

func newExchange(w http.ResponseWriter, r *http.Request, limit time.Duration) *exchange {
	x := &exchange{ResponseWriter: w, control: http.NewResponseController(w), request: r, limit: limit, begun: time.Now()}
	x.writing(false) // the limit of the last answer on this connection
	if r.ProtoMajor == 1 {
		_ = x.control.EnableFullDuplex() // a guest may answer before it has read all; HTTP/2 can anyway
	}
	if r.Body != nil && r.Body != http.NoBody {
		x.body = &body{ReadCloser: r.Body, x: x, left: r.ContentLength}
		r.Body = x.body
	}
	return x
}

// end is called when the handler is done. What the server still has to read
// and write then, it has to do within the limit.
func (x *exchange) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = true
	if x.request.ProtoMajor == 1 {
		until := time.Now().Add(x.limit)
		_ = x.control.SetReadDeadline(until) // taken away from a connection that is no longer HTTP's
		_ = x.control.SetWriteDeadline(until)
	}
}

// until is the deadline for what begins now, or none.
func (x *exchange) until(on bool) time.Time {
	if on {
		return time.Now().Add(x.limit)
	}
	return time.Time{}
}

// writing sets or takes away the deadline for writing. It is there only while
// something is written: with HTTP/2 a deadline that passes ends the stream.
func (x *exchange) writing(on bool) {
	_ = x.control.SetWriteDeadline(x.until(on))
}

// reading is the same for the body, which may be read for a little longer than
// the handler runs.
func (x *exchange) reading(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.done {
		_ = x.control.SetReadDeadline(x.until(on))
	}
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
		if x.body != nil && x.request.ProtoMajor == 1 && !x.body.complete() {
			// What is left of the body may never come, and is no next request.
			x.Header().Set("Connection", "close")
		}
	}
	x.writing(true)
	defer x.writing(false)
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.writing(true)
	defer x.writing(false)
	n, err := x.ResponseWriter.Write(p)
	x.written += int64(n)
	return n, err
}

// FlushError is for http.ResponseController.
func (x *exchange) FlushError() error {
	x.writing(true)
	defer x.writing(false)
	return x.control.Flush()
}

// body is what a client sends.
type body struct {
	io.ReadCloser
	x *exchange

	mu   sync.Mutex
	left int64 // bytes that are still to come; -1: until its end
	err  error // why it does not come
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.x.reading(true)
	defer b.x.reading(false)
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == io.EOF:
		b.left = 0
	case b.left > 0:
		b.left -= int64(n)
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// complete reports whether all has come.
func (b *body) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left == 0
}

// bodyFailure is why the client did not send all; nil if it did, or still may.
func (x *exchange) bodyFailure() error {
	if x.body == nil {
		return nil
	}
	x.body.mu.Lock()
	defer x.body.mu.Unlock()
	return x.body.err
}
