package p9client

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// An Error is the failure of one request.
type Error struct {
	Op    string        // the T-message
	Path  string        // of the fid, relative to the attach; empty for the root
	Errno syscall.Errno // what it amounts to
	Ename string        // the server's words, or ours
	lost  bool
}

func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += fmt.Sprintf(" %q", e.Path)
	}
	if s != "" {
		s += ": "
	}
	if e.Ename != "" {
		return s + e.Ename
	}
	return s + e.Errno.Error()
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Disconnected reports whether the server said nothing, because there was no
// connection or because it was lost.
func (e *Error) Disconnected() bool { return e.lost }

// A lostError says why a connection is gone. Calls in flight fail with it.
type lostError struct {
	cause  error
	unsent bool // nothing of the call was written to the socket
	tried  bool // but something before it that belongs to it was
}

func (e *lostError) Error() string { return "connection lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// errnoOf is the errno of the server's refusal, or of ours; 0 if the server said
// nothing.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if isLost(err) || !errors.As(err, &errno) {
		return 0
	}
	return errno
}

// isLost reports whether err says that the connection was lost.
func isLost(err error) bool {
	var l *lostError
	var e *Error
	return errors.As(err, &l) || errors.As(err, &e) && e.lost
}

func protocolError(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{syscall.EPROTO}, a...)...)
}

// fail makes an Error of whatever ended a request.
func fail(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		c := *e
		if c.Op == "" {
			c.Op = op
		}
		if c.Path == "" {
			c.Path = path
		}
		return &c
	}
	switch {
	case isLost(err):
		return &Error{Op: op, Path: path, Errno: causeErrno(err), Ename: err.Error(), lost: true}
	case errors.Is(err, context.Canceled):
		return &Error{Op: op, Path: path, Errno: syscall.EINTR, Ename: "interrupted"}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Op: op, Path: path, Errno: syscall.ETIMEDOUT, Ename: "deadline exceeded"}
	}
	return &Error{Op: op, Path: path, Errno: causeErrno(err), Ename: err.Error()}
}
