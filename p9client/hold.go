package p9client

import (
	"context"
	"errors"
	"syscall"
	"time"
)

type holdKey struct{}

// A hold is what a context says about waiting for a lost connection.
type hold struct {
	pinned     bool
	generation uint64
}

// WithoutHold returns a context in which calls fail as disconnected instead of
// waiting for a connection.
func WithoutHold(ctx context.Context) context.Context {
	return context.WithValue(ctx, holdKey{}, hold{})
}

// AtGeneration returns a context in which calls run on that generation of the
// connection, or fail as disconnected.
func AtGeneration(ctx context.Context, generation uint64) context.Context {
	return context.WithValue(ctx, holdKey{}, hold{pinned: true, generation: generation})
}

// WaitUp returns when there is a connection, waiting as a call on a fid would.
func (s *Session) WaitUp(ctx context.Context) error {
	_, err := s.use(ctx)
	return fail("connection", "", err)
}

var (
	errNoConnection       = errors.New("there is none")
	errClosed       error = &Error{Errno: syscall.ENOTCONN, Ename: "the session is closed", lost: true}
)

// use returns the present connection, waiting for it if ctx allows.
func (s *Session) use(ctx context.Context) (*conn, error) {
	h, noWait := ctx.Value(holdKey{}).(hold)
	for {
		s.mu.Lock()
		c, link, news := s.conn, s.link, s.news
		s.mu.Unlock()
		if c != nil {
			if h.pinned && c.generation != h.generation {
				return nil, &lostError{cause: errors.New("a later one has taken its place"), unsent: true}
			}
			select {
			case <-c.lost: // the session will notice in a moment
			default:
				return c, nil
			}
		}
		if s.ctx.Err() != nil {
			return nil, errClosed
		}
		if noWait {
			cause := link.Cause
			if cause == nil {
				cause = errNoConnection
			}
			return nil, &lostError{cause: cause, unsent: true}
		}
		if err := s.await(ctx, link, news); err != nil {
			return nil, err
		}
	}
}

// await waits for the link to change, at most until its hold time has run out.
func (s *Session) await(ctx context.Context, link Link, news <-chan struct{}) error {
	var expired <-chan time.Time
	if !link.Up && !link.HoldUntil.IsZero() {
		left := time.Until(link.HoldUntil)
		if left <= 0 {
			return link.Err
		}
		t := time.NewTimer(left)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-news:
		return nil
	case <-expired:
		return link.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return errClosed
	}
}
