package writeback

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// Link is what the flusher has to know of the connection.
type Link struct {
	Up         bool
	Generation uint64    // of the connection; another one means that the server may have crashed
	HoldUntil  time.Time // down: until when callers wait; zero is for ever
	Err        error     // down: their verdict after that
}

// over reports whether callers wait no more for the connection.
func (l Link) over(now time.Time) bool {
	return !l.Up && !l.HoldUntil.IsZero() && !now.Before(l.HoldUntil)
}

// SetLink tells the flusher that the connection was lost or is back. Unstable
// extents become dirty when the generation changes.
func (fl *Flusher) SetLink(l Link) {
	fl.mu.Lock()
	lost := l.Generation != fl.mu.link.Generation || !l.Up
	fl.setLinkLocked(l)
	files := slices.Clone(fl.mu.queue)
	fl.mu.Unlock()
	if lost {
		for _, f := range files {
			f.connectionLost()
		}
	}
	fl.kick()
}

func (fl *Flusher) setLinkLocked(l Link) {
	fl.mu.link = l
	close(fl.mu.linkNews)
	fl.mu.linkNews = make(chan struct{})
}

// suspect stops sending on a generation whose connection failed under a
// request, until SetLink tells what became of it.
func (fl *Flusher) suspect(generation uint64) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.mu.link.Up && fl.mu.link.Generation == generation {
		fl.setLinkLocked(Link{Generation: generation, Err: syscall.ETIMEDOUT})
	}
}

// link returns the state of the connection and a channel that is closed when it
// changes.
func (fl *Flusher) link() (Link, <-chan struct{}) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.mu.link, fl.mu.linkNews
}

// await blocks until news is closed, the link changes, its hold time runs out
// or ctx ends. It returns the context's error or, when the hold time has run
// out, the link's verdict.
func (fl *Flusher) await(ctx context.Context, news <-chan struct{}) error {
	link, linkNews := fl.link()
	if link.over(time.Now()) {
		return link.verdict()
	}
	var expired <-chan time.Time
	if !link.Up && !link.HoldUntil.IsZero() {
		t := time.NewTimer(time.Until(link.HoldUntil))
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-news:
		return nil
	case <-linkNews:
		return nil
	case <-expired:
		return nil // looked at again by the caller, who may be done by now
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-fl.ctx.Done():
		return syscall.ENOTCONN
	}
}

// awaitUp blocks until the link is up and returns its generation.
func (fl *Flusher) awaitUp(ctx context.Context) (uint64, error) {
	for {
		if link, _ := fl.link(); link.Up {
			return link.Generation, nil
		}
		if err := fl.await(ctx, nil); err != nil {
			return 0, err
		}
	}
}

// disconnected reports whether err says that the connection was lost, and the
// server therefore said nothing.
func disconnected(err error) bool {
	var d interface{ Disconnected() bool }
	return errors.As(err, &d) && d.Disconnected()
}

// errnoOf is the verdict that err amounts to.
func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	}
	return syscall.EIO
}

// verdict is what callers and the journal are told while the link is down.
func (l Link) verdict() error {
	if l.Err != nil {
		return l.Err
	}
	return syscall.ETIMEDOUT
}
