package p9client

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// maxStrikes is how many connections in a row may be lost under a request, each
// at once or by a reply that makes no sense, before the request itself is taken
// for the reason and its caller is told. Losses before it was sent, other losses,
// and servers that cannot be reached, do not count: those who wait are bounded by
// the hold time.
const maxStrikes = 16

// do runs a request on the fid, again on the next connection if this one is lost
// and the context lets it wait.
func (f *Fid) do(ctx context.Context, op string, request func(at *standing) error) error {
	_, noWait := ctx.Value(holdKey{}).(hold)
	var lostSince time.Time
	for strikes := 0; ; {
		c, err := f.s.use(ctx)
		if err == nil {
			err = f.on(ctx, c, request)
		}
		if err == nil {
			return nil
		}
		var verdict *Error // of the hold time, if it says lost
		if !isLost(err) || noWait || c == nil || errors.As(err, &verdict) {
			return fail(op, f.Path(), err)
		}
		if lostSince.IsZero() {
			lostSince = time.Now()
		}
		if hold := f.s.o.HoldTimeout; hold > 0 && time.Since(lostSince) > hold {
			return &Error{Op: op, Path: f.Path(), Errno: syscall.ETIMEDOUT, Ename: err.Error(), lost: true}
		}
		switch {
		case wasUnsent(err): // and so is not the reason
		case time.Since(c.born) >= f.s.o.BackoffMax && !errors.Is(err, syscall.EPROTO):
			strikes = 0
		default:
			strikes++
		}
		if strikes == maxStrikes {
			return fail(op, f.Path(), err)
		}
	}
}

// wasUnsent reports whether a connection was lost before the request was sent.
func wasUnsent(err error) bool {
	var l *lostError
	return errors.As(err, &l) && l.unsent && !l.tried
}

// once is do for requests that change the tree: it is repeated only if nothing
// of it was sent, or if happened tells that it was not obeyed. happened looks what
// became of a request that was perhaps obeyed before the connection was lost. It
// looks on the connection that the request will be sent on, and in the same tree.
func (f *Fid) once(ctx context.Context, op string, request func(at *standing) error, happened func(ctx context.Context) (fate, error)) error {
	var tree Qid
	doubt, again := false, false
	return f.do(ctx, op, func(at *standing) error {
		if doubt {
			if !at.c.rootQid.same(tree) {
				return verdict(unknown, nil)
			}
			was, err := happened(AtGeneration(ctx, at.c.generation))
			if f.strayed(ctx, at) {
				return syscall.ESTALE // look again, where it is now
			}
			if err != nil || was != not {
				return verdict(was, err)
			}
			doubt, again = false, true
		}
		err := request(at)
		var l *lostError
		switch {
		case errors.As(err, &l):
			if !l.unsent {
				doubt, tree = true, at.c.rootQid
			}
		case again && (errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOENT)):
			// It may have been obeyed after the look, when it was sent first.
			was, lookErr := happened(AtGeneration(ctx, at.c.generation))
			if lookErr != nil || was != not {
				doubt, tree = true, at.c.rootQid
				return verdict(was, lookErr)
			}
		}
		return err
	})
}

// verdict is what the caller is told of a request that was not answered.
func verdict(was fate, err error) error {
	if err != nil || was == obeyed {
		return err
	}
	return &Error{Errno: syscall.EIO, Ename: "ambiguous: the connection was lost while the request was under way, and it cannot be told whether the server obeyed it"}
}

// A fate is what became of a request that was not answered.
type fate int

const (
	unknown fate = iota
	obeyed
	not
)
