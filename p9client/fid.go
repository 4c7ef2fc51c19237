package p9client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A Fid is a file of the session, walked to and perhaps opened. Its methods may
// be called concurrently; a caller clunks it after the last call has returned.
type Fid struct {
	s      *Session
	isRoot bool
	name   *name // guarded by Session.mu, and by the reference that the fid has
	qid    Qid   // when it was walked; path and type stay
	under  Qid   // the root below which it was walked

	at   atomic.Pointer[standing]
	busy chan struct{} // capacity 1: held while the fid is walked or opened again

	open    bool   // guarded by busy, like flags
	flags   uint32 // of the open, less those that act once
	clunked atomic.Bool
	left    []standing // guarded by busy: numbers that calls may still use
}

// A standing is what a fid is on one connection.
type standing struct {
	c      *conn
	num    uint32
	iounit uint32

	// Of a fid that is not open: the path it was walked, and the session's count
	// of moves when that was last known to be right. Servers that know a fid by
	// its path, as diod does, lose it when the path changes.
	path  string
	moves uint64

	dir *dirCursor // of a fid that is open
}

func openStanding(c *conn, num, iounit uint32, moves uint64) *standing {
	return &standing{c: c, num: num, iounit: iounit, moves: moves, dir: &dirCursor{busy: make(chan struct{}, 1)}}
}

// Qid returns the qid that the server gave when the fid was walked or opened.
func (f *Fid) Qid() Qid { return f.qid }

// Path returns the fid's path below the attach, "" for the root. Of a removed
// file it is the last name.
func (f *Fid) Path() string {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if p, ok := f.name.pathLocked(); ok {
		return strings.Join(p, "/")
	}
	return f.name.elem
}

// MaxIO returns the number of data bytes that fit into one Tread or Twrite.
func (f *Fid) MaxIO() int {
	if at := f.at.Load(); at != nil {
		return at.maxIO()
	}
	return int(f.s.Msize()) - ioHeaderLen
}

func (at *standing) maxIO() int {
	n := at.c.msize - ioHeaderLen
	if at.iounit > 0 {
		n = min(n, int(at.iounit))
	}
	return n
}

// stand returns the fid's standing on the present connection, walking and
// opening it again if need be.
func (f *Fid) stand(ctx context.Context) (*standing, error) {
	c, err := f.s.use(ctx)
	if err != nil {
		return nil, err
	}
	return f.standOn(ctx, c)
}

func (f *Fid) standOn(ctx context.Context, c *conn) (*standing, error) {
	at := f.at.Load()
	if at != nil && at.c == c && (f.isRoot || at.moves == f.s.moves.Load()) {
		return at, nil
	}
	if f.isRoot {
		at = &standing{c: c, num: c.root}
		f.at.Store(at)
		return at, nil
	}
	if !f.under.same(c.rootQid) {
		return nil, &Error{Errno: syscall.ESTALE, Ename: "the server's root is another one after a reconnect"}
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	moves := f.s.moves.Load()
	f.s.mu.Lock()
	path, ok := f.name.pathLocked()
	f.s.mu.Unlock()
	old := f.at.Load()
	if old != nil && old.c == c {
		if f.open || !ok || old.path == strings.Join(path, "/") {
			same := *old
			same.moves = moves
			f.at.Store(&same)
			return &same, nil
		}
	}
	if f.clunked.Load() {
		return nil, syscall.EBADF
	}
	if !ok {
		return nil, &Error{Errno: syscall.ESTALE, Ename: "the file was removed, and the connection it was open on is lost"}
	}
	num, qid, err := c.walk(ctx, c.root, path)
	if errors.Is(err, syscall.ENOENT) {
		return nil, &Error{Errno: syscall.ESTALE, Ename: "the file is not there any more"}
	}
	if err != nil {
		return nil, err
	}
	at = &standing{c: c, num: num, path: strings.Join(path, "/"), moves: moves}
	if len(path) > 0 && !qid.same(f.qid) {
		c.clunk(num)
		return nil, &Error{Errno: syscall.ESTALE, Ename: "another file has its name now"}
	}
	if f.open {
		_, iounit, err := c.say.open(ctx, c, num, f.flags)
		if err != nil {
			c.clunk(num)
			return nil, err
		}
		at = openStanding(c, num, iounit, moves)
	}
	if old != nil && old.c == c {
		f.left = append(f.left, *old)
	}
	f.at.Store(at)
	return at, nil
}

// maxStrikes is how many connections in a row may be lost under a request, each
// at once or by a reply that makes no sense, before the request itself is taken
// for the reason and its caller is told. Other losses, and servers that cannot be
// reached, do not count: those who wait are bounded by the hold time.
const maxStrikes = 16

// do runs a request on the fid, again on the next connection if this one is lost
// and the context lets it wait.
func (f *Fid) do(ctx context.Context, op string, request func(at *standing) error) error {
	_, noWait := ctx.Value(holdKey{}).(hold)
	var lostSince time.Time
	for strikes := 0; ; {
		c, err := f.s.use(ctx)
		if err == nil {
			var at *standing
			if at, err = f.standOn(ctx, c); err == nil {
				err = request(at)
			}
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
		if time.Since(c.born) >= f.s.o.BackoffMax && !errors.Is(err, syscall.EPROTO) {
			strikes = 0
		} else if strikes++; strikes == maxStrikes {
			return fail(op, f.Path(), err)
		}
	}
}

// once is do for requests that change the tree: it is repeated only if nothing
// of it was sent, or if happened tells that it was not obeyed. happened looks what
// became of a request that was perhaps obeyed before the connection was lost.
func (f *Fid) once(ctx context.Context, op string, request func(at *standing) error, happened func(ctx context.Context) (fate, error)) error {
	doubt := false
	err := f.do(ctx, op, func(at *standing) error {
		if doubt {
			switch was, err := happened(ctx); {
			case err != nil:
				return err
			case was == obeyed:
				return nil
			case was == unknown:
				return &Error{Errno: syscall.EIO, Ename: "ambiguous: the connection was lost while the request was under way, and it cannot be told whether the server obeyed it"}
			}
			doubt = false
		}
		err := request(at)
		var l *lostError
		if errors.As(err, &l) && !l.unsent {
			doubt = true
		}
		return err
	})
	return err
}

// A fate is what became of a request that was not answered.
type fate int

const (
	unknown fate = iota
	obeyed
	not
)

// Clunk gives the fid up. The server is told without waiting for its answer.
func (f *Fid) Clunk() {
	if f.isRoot || f.clunked.Swap(true) {
		return
	}
	if at := f.at.Load(); at != nil {
		at.c.clunk(at.num)
	}
	for _, at := range f.left {
		at.c.clunk(at.num)
	}
	f.s.mu.Lock()
	f.name.releaseLocked()
	f.s.mu.Unlock()
}

// Replace gives f the place of by: another fid of the same file, not open, walked
// by a name that is still there. It does so only if f's own name was removed, and
// reports whether it did. If f is open it stays so, and is opened by the new name
// after a reconnect. Either way the caller clunks by.
func (f *Fid) Replace(ctx context.Context, by *Fid) bool {
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return false
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if _, ok := f.name.pathLocked(); ok || f.isRoot {
		return false
	}
	f.name, by.name = by.name, f.name
	if !f.open {
		by.at.Store(f.at.Swap(by.at.Load()))
	}
	return true
}

// atOnceOnly is a context for what must be done without waiting.
var atOnceOnly = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// clunk sends a Tclunk that nobody waits for. The number is free when the answer
// has come, whatever it is.
func (c *conn) clunk(num uint32) {
	if err := c.sendClunk(atOnceOnly, num); err != nil && !isLost(err) {
		c.spawn(func() { c.sendClunk(context.Background(), num) }) // until there is room, or the loss
	}
}

func (c *conn) sendClunk(ctx context.Context, num uint32) error {
	cl := newCall(tclunk)
	cl.enc.u32(num)
	cl.after = func() { c.freeFid(num) }
	err := c.send(ctx, cl, nil)
	if err != nil || c.abandon(cl, false) {
		cl.free()
	}
	return err
}
