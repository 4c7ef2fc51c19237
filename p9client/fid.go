package p9client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
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

	iounit atomic.Uint32 // of the last connection, while at is nil

	pins atomic.Int32 // calls that use at; see giveUp and retire
	used atomic.Bool  // since numbers.hand came by
	slot int          // guarded by numbers.mu: place in its list, from 1; 0: in none
	kept bool         // guarded by numbers.mu: in which list
}

// A standing is what a fid is on one connection.
type standing struct {
	c      *conn
	num    uint32
	iounit uint32
	opened bool // and so the number stays until the Clunk

	// Of a fid that is not open: the path it was walked, and the session's count
	// of moves when that was last known to be right. Servers that know a fid by
	// its path, as diod does, lose it when the path changes.
	path  string
	moves uint64

	dir *dirCursor // of a directory that is open
}

func openStanding(c *conn, o opened, moves uint64) *standing {
	at := &standing{c: c, num: o.num, iounit: o.iounit, opened: true, moves: moves}
	if o.qid.Type&QTDIR != 0 {
		at.dir = &dirCursor{busy: make(chan struct{}, 1)}
	}
	return at
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
	n := int(f.s.Msize()) - ioHeaderLen
	if iounit := f.iounit.Load(); iounit > 0 {
		n = min(n, int(iounit))
	}
	return n
}

func (at *standing) maxIO() int {
	n := at.c.msize - ioHeaderLen
	if at.iounit > 0 {
		n = min(n, int(at.iounit))
	}
	return n
}

// take gives a new fid the number that was walked or created for it.
func (f *Fid) take(at *standing) {
	f.at.Store(at)
	f.s.numbers.add(f, at)
	f.lead(at.c)
}

// stand returns the fid's standing on the present connection, walking and
// opening it again if need be. Those who use a fid that is not open pin it
// first; if nobody has, it keeps its number from now on.
func (f *Fid) stand(ctx context.Context) (*standing, error) {
	c, err := f.s.use(ctx)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		at, err := f.standOn(ctx, c)
		switch {
		case f.overtaken(ctx, at, err) && tries < maxMoves:
		case err == nil && !at.opened && !f.isRoot && f.pins.Load() == 0:
			f.pins.Add(1) // and look again
		default:
			return at, err
		}
	}
}

// maxMoves is how many renames that overtake a request on a fid it follows.
const maxMoves = 8

// on runs a request with the fid's standing on c: again if the server does not know
// the file because the session has renamed it, or what is above it, meanwhile.
func (f *Fid) on(ctx context.Context, c *conn, request func(at *standing) error) error {
	if !f.isRoot {
		f.pins.Add(1)
		defer f.pins.Add(-1)
		if !f.used.Load() {
			f.used.Store(true)
		}
	}
	if at := f.at.Load(); at != nil && at.opened && at.c == c {
		err := request(at)
		if now, ok := f.afresh(ctx, at, err); ok {
			return request(now)
		}
		return err
	}
	for tries := 0; ; tries++ {
		at, err := f.standOn(ctx, c)
		if err == nil {
			err = request(at)
		}
		if !f.overtaken(ctx, at, err) || tries == maxMoves {
			return err
		}
	}
}

// overtaken reports whether err may be due to a rename under way.
func (f *Fid) overtaken(ctx context.Context, at *standing, err error) bool {
	return at != nil && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESTALE)) && f.strayed(ctx, at)
}

func (f *Fid) standOn(ctx context.Context, c *conn) (*standing, error) {
	at := f.at.Load()
	if at != nil && at.c == c && (f.isRoot || at.opened || at.moves == f.s.moves.Load()) {
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
	return f.standAgain(ctx, c)
}

// standAgain is standOn with busy held, for a fid that has no number on c, or
// perhaps not that of its path. If it is not found, at tells where it was not.
func (f *Fid) standAgain(ctx context.Context, c *conn) (at *standing, err error) {
	moves := f.s.moves.Load()
	f.s.mu.Lock()
	path, ok := f.name.pathLocked()
	f.s.mu.Unlock()
	at = &standing{c: c, path: strings.Join(path, "/"), moves: moves}
	old := f.at.Load()
	if old != nil && old.c == c {
		if f.open || !ok || old.path == at.path {
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
		return nil, &Error{Errno: syscall.ESTALE, Ename: "the file was removed, and what it was open by is lost"}
	}
	if !f.open {
		release, err := f.s.queue(ctx, c)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	num, qid, err := f.walkAgain(ctx, c, path)
	if errors.Is(err, syscall.ENOENT) {
		return at, &Error{Errno: syscall.ESTALE, Ename: "the file is not there any more"}
	}
	if err != nil {
		return nil, err
	}
	if len(path) > 0 && !qid.same(f.qid) {
		c.clunk(num)
		return at, &Error{Errno: syscall.ESTALE, Ename: "another file has its name now"}
	}
	if f.open {
		qid, iounit, err := c.say.open(ctx, c, num, f.flags)
		if err != nil {
			c.clunk(num)
			return nil, err
		}
		at = openStanding(c, opened{num, qid, iounit}, moves)
	}
	at.num, at.opened = num, f.open
	f.take(at)
	if old != nil && old.c == c {
		f.retire(old, 1)
	}
	return at, nil
}

// retire gives up a number that the fid had, with busy held; later, if calls may
// still use it. pins is how many of them the caller has.
func (f *Fid) retire(old *standing, pins int32) {
	f.left = append(f.left, *old)
	if f.pins.Load() > pins {
		return
	}
	for _, at := range f.left {
		at.c.clunk(at.num)
	}
	f.left = nil
}

// Clunk gives the fid up. The server is told without waiting for its answer.
func (f *Fid) Clunk() {
	if f.isRoot || f.clunked.Swap(true) {
		return
	}
	if at := f.s.numbers.remove(f); at != nil {
		at.c.clunk(at.num)
	}
	for _, at := range f.left {
		at.c.clunk(at.num)
	}
	f.s.mu.Lock()
	if f.name.fid == f {
		f.name.fid = nil
	}
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
	if f.isRoot || !f.swapNames(by) {
		return false
	}
	if f.open {
		return true
	}
	if old := f.s.numbers.give(f, by); old != nil {
		f.retire(old, 0)
	}
	return true
}

// swapNames gives f the name of by, and by the removed one that f has.
func (f *Fid) swapNames(by *Fid) bool {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if !f.name.goneLocked() {
		return false
	}
	for _, x := range []*Fid{f, by} {
		if x.name.fid == x {
			x.name.fid = nil
		}
	}
	f.name, by.name = by.name, f.name
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
	if c.whenItEnds(num, func() { c.clunk(num) }) {
		return
	}
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
