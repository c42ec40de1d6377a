package container

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{Op: "start", Subject: "web", Err: cause}, "start web: cause"},
		{Error{Op: "start", Err: cause}, "start: cause"},
		{Error{Subject: "web", Err: cause}, "web: cause"},
		{Error{Err: cause, Hint: "do", Code: CodeOwned}, "cause"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
		if !errors.Is(&c.e, cause) {
			t.Errorf("%q has lost its cause", c.want)
		}
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, CodeOK},
		{plain, CodeFailed},
		{fs.ErrNotExist, CodeFailed},
		{ErrNotFound, CodeNotFound},
		{ErrOwned, CodeOwned},
		{ErrNotReady, CodeNotReady},
		{ErrExists, CodeFailed},
		{ErrNotRunning, CodeFailed},
		{fmt.Errorf("web: %w", ErrNotFound), CodeNotFound},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", ErrOwned)), CodeOwned},
		{fmt.Errorf("%w and %w", plain, ErrNotReady), CodeNotReady},
		{&Error{Err: plain}, CodeFailed},
		{&Error{Err: plain, Code: CodeUsage}, CodeUsage},
		{&Error{Err: ErrNotFound}, CodeNotFound},
		{&Error{Err: ErrNotFound, Code: CodeUsage}, CodeUsage},
		{&Error{Err: &Error{Err: plain, Code: CodeOwned}}, CodeOwned},
		{fmt.Errorf("web: %w", &Error{Err: plain, Code: CodeOwned}), CodeOwned},
		{errors.Join(plain, ErrNotFound), CodeNotFound},
		{errors.Join(ErrNotReady, &Error{Err: plain, Code: CodeUsage}), CodeNotReady},
		{errors.Join(nil, plain), CodeFailed},
		{fmt.Errorf("all: %w", errors.Join(ErrOwned, fmt.Errorf("x: %w", ErrNotReady))), CodeNotReady},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v: %d, not %d", c.err, got, c.want)
		}
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	hinted := &Error{Err: gone, Hint: "look", Code: CodeNotReady}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"plain":              {gone, "web: gone"},
		"without a subject":  {hinted, "web: gone"},
		"with it":            {&Error{Subject: "web", Err: gone}, "web: gone"},
		"with another":       {&Error{Op: "import", Subject: "tar:/x", Err: gone}, "web: import tar:/x: gone"},
		"within another one": {fmt.Errorf("start db: %w", hinted), "web: start db: gone"},
		"joined":             {errors.Join(hinted, nil), "web: gone"},
	} {
		got := Named("web", c.err)
		if got.Error() != c.want || !errors.Is(got, gone) || CodeOf(got) != CodeOf(c.err) {
			t.Errorf("%s: %q with code %d, not %q with %d", name, got, CodeOf(got), c.want, CodeOf(c.err))
		}
	}
	if hinted.Subject != "" {
		t.Error("the error that was given has changed")
	}
	if err := Named("web", nil); err != nil {
		t.Errorf("nothing is %v", err)
	}
}
