package ingress

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-containers/berth/container"
)

// maxAccess is how long the access log grows before it becomes access.log.1.
const maxAccess = 8 << 20

// statusLeft is what the access log has for a client that did not wait.
const statusLeft = 499

// entry tells of x when it is over.
func (x *exchange) entry() container.Request {
	r := x.request
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	e := container.Request{
		Time: x.begun, Client: client, Host: r.Host, Scheme: scheme(r), Proto: r.Proto, Method: r.Method, URI: r.RequestURI,
		Status: x.status, Bytes: x.written, Seconds: time.Since(x.begun).Seconds(),
		Referer: r.Referer(), UserAgent: r.UserAgent(), Error: x.failure,
	}
	if x.route != nil {
		e.Container = x.route.name
	}
	if e.Status == 0 {
		e.Status = statusLeft
	}
	return e
}

// accessLog is a file of requests, one JSON object a line.
type accessLog struct {
	path string

	mu     sync.Mutex
	file   *os.File
	size   int64
	failed bool // and it was said
}

func openAccess(path string) (*accessLog, error) {
	l := &accessLog{path: path}
	return l, l.open()
}

func (l *accessLog) open() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// add writes a line. That it cannot be written hinders no request; it is
// said once until it goes again.
func (l *accessLog) add(e container.Request) {
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.size > maxAccess {
		err = l.rotate()
	}
	if err == nil {
		var n int
		n, err = l.file.Write(append(line, '\n'))
		l.size += int64(n)
	}
	if err != nil && !l.failed {
		fmt.Fprintln(os.Stderr, "berth: access log:", err)
	}
	l.failed = err != nil
}

func (l *accessLog) rotate() error {
	old := l.file
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

func (l *accessLog) Close() error { return l.file.Close() }
