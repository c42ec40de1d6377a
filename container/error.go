package container

import (
	"errors"
	"fmt"
	"strings"
)

// Code is an exit code of the berth command.
type Code int

// The exit codes.
const (
	CodeOK       Code = 0
	CodeFailed   Code = 1
	CodeUsage    Code = 2 // the command or a declaration is not well-formed
	CodeNotFound Code = 3 // no such container
	CodeOwned    Code = 4 // owned by another declaration
	CodeNotReady Code = 5 // not ready or unhealthy in time
)

// Error is an error as berth shows it: what was done to what, why it did not
// work, and what the user can do about it.
type Error struct {
	Op      string // such as "start"; may be empty
	Subject string // such as a container's name; may be empty
	Err     error  // never nil
	Hint    string // one sentence, without a full stop; may be empty
	Code    Code   // 0 counts as CodeFailed
}

func (e *Error) Error() string {
	switch {
	case e.Op != "" && e.Subject != "":
		return fmt.Sprintf("%s %s: %v", e.Op, e.Subject, e.Err)
	case e.Op != "" || e.Subject != "":
		return fmt.Sprintf("%s: %v", e.Op+e.Subject, e.Err)
	default:
		return e.Err.Error()
	}
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors whose kind callers test for with errors.Is.
var (
	ErrNotFound   = errors.New("no such container")
	ErrExists     = errors.New("a container of this name exists already")
	ErrNotRunning = errors.New("the container is not running")
	ErrNotReady   = errors.New("not ready in time")
	ErrOwned      = errors.New("owned by another declaration")
)

// NeedsRoot refuses what is for root alone.
func NeedsRoot() error {
	return &Error{Err: errors.New("this needs root"), Hint: "run it with sudo"}
}

// CodeOf is the exit code for err: 0 for nil, and the greatest of all where
// several errors are joined.
func CodeOf(err error) Code {
	switch e := err.(type) {
	case nil:
		return CodeOK
	case *Error:
		if e.Code != 0 {
			return e.Code
		}
		return CodeOf(e.Err)
	case interface{ Unwrap() []error }:
		code := CodeFailed
		for _, sub := range e.Unwrap() {
			code = max(code, CodeOf(sub))
		}
		return code
	case interface{ Unwrap() error }:
		if sub := e.Unwrap(); sub != nil {
			return CodeOf(sub)
		}
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return CodeNotFound
	case errors.Is(err, ErrOwned):
		return CodeOwned
	case errors.Is(err, ErrNotReady):
		return CodeNotReady
	}
	return CodeFailed
}

// Named puts a container's name before an error that does not have it; nil
// stays nil.
func Named(n Name, err error) error {
	e, known := err.(*Error)
	switch {
	case err == nil:
		return nil
	case known && e.Subject == "" && e.Op == "":
		c := *e
		c.Subject = string(n)
		return &c
	case strings.HasPrefix(err.Error(), string(n)+":"):
		return err
	}
	return fmt.Errorf("%s: %w", n, err)
}
