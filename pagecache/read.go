package pagecache

import (
	"context"
	"errors"
	"io"
	"math"
)

// maxJoins is how often a read asks again after another's fill was of no use to
// it; then it reads past the cache.
const maxJoins = 3

// A piece is a part of a read: a page that covers some of it.
type piece struct {
	p    *page
	end  int64 // where p ended when this read looked; a fill may bring less
	mine bool  // this read began its fill
}

// ReadAt reads from pages and fills what is missing. Like io.ReaderAt it returns
// fewer bytes than asked only with an error, io.EOF at the end of the file. The
// error of the backend is the answer to this read alone; the next one asks
// again. If ctx ends first, its cause is returned and p is not touched any more.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case off < 0 || off > math.MaxInt64-int64(len(p)):
		return f.backend.ReadAt(ctx, p, off)
	}
	n := 0
	for range maxJoins {
		done, k, err := f.readOnce(ctx, p[n:], off+int64(n))
		n += k
		if done || err != nil {
			return n, err
		}
	}
	k, err := f.backend.ReadAt(ctx, p[n:], off+int64(n))
	return n + k, err
}

// readOnce reads as far as pages of its own and useful pages of others go.
// done reports that this is all there is to say.
func (f *File) readOnce(ctx context.Context, p []byte, off int64) (done bool, n int, err error) {
	pieces, ok := f.look(ctx, off, int64(len(p)))
	if !ok {
		n, err := f.backend.ReadAt(ctx, p, off) // the cache is closed
		return true, n, err
	}
	defer func() {
		for _, x := range pieces {
			x.p.blk.release()
		}
	}()
	for _, x := range pieces {
		select {
		case <-x.p.done:
		case <-ctx.Done():
			return true, n, context.Cause(ctx)
		}
		if x.p.err != nil && !errors.Is(x.p.err, io.EOF) {
			if x.mine {
				return true, n, x.p.err
			}
			return false, n, nil
		}
		want := off + int64(n) - x.p.off // where in the page to go on
		if want < int64(len(x.p.data)) {
			k := copy(p[n:], x.p.data[want:])
			n += k
			f.c.delivered(x.p, int64(k))
		}
		if n < len(p) && x.p.end() < x.end { // short: the end of the file?
			if x.mine {
				return true, n, io.EOF
			}
			return false, n, nil
		}
	}
	return true, n, nil
}

// look finds or begins the pages that cover n bytes at off, begins read-ahead,
// and returns the pages in order, each with its block held. ok is false after
// Close.
func (f *File) look(ctx context.Context, off, n int64) (pieces []piece, ok bool) {
	end := off + n
	var begun []*page
	ok = true
	missing, filling := false, false
	f.mu.Lock()
	at := off
	begin := func(end int64) {
		if ok && at < end {
			missing = true
			begun, ok = f.beginLocked(begun, &pieces, at, end)
		}
	}
	for _, p := range f.overlappingLocked(off, end) {
		begin(p.off)
		filling = filling || p.filling
		p.blk.hold()
		pieces = append(pieces, piece{p, p.end(), false})
		at = p.end()
	}
	begin(end)
	if ok {
		begun = f.aheadLocked(begun, off, n, missing, filling)
	}
	f.mu.Unlock()
	for _, p := range begun {
		go f.fill(ctx, p)
	}
	if !ok {
		for _, x := range pieces {
			x.p.blk.release()
		}
		return nil, false
	}
	f.c.count(func(s *Stats) {
		switch {
		case missing:
			s.Misses++
		case filling:
			s.Joined++
		default:
			s.Hits++
		}
	})
	if len(begun) > 0 {
		f.c.evict()
	}
	return pieces, true
}

// beginLocked begins required fills of [off, end).
func (f *File) beginLocked(begun []*page, pieces *[]piece, off, end int64) ([]*page, bool) {
	for off < end {
		n := min(end-off, f.c.o.Fill)
		p := f.newPageLocked(off, n, false)
		if p == nil {
			return begun, false
		}
		begun = append(begun, p)
		p.blk.hold()
		*pieces = append(*pieces, piece{p, p.end(), true})
		off += n
	}
	return begun, true
}

// aheadLocked begins the optional fills that a read of n bytes at off calls for.
func (f *File) aheadLocked(begun []*page, off, n int64, missing, filling bool) []*page {
	if f.c.o.ReadAhead <= 0 {
		return begun
	}
	s, from, to := f.streams.plan(read{off, n, missing, filling}, f.end, f.c.o.Fill, f.c.o.ReadAhead)
	for at := from; at < to; {
		next := min(at+f.c.o.Fill, to)
		for _, p := range f.overlappingLocked(at, next) { // somebody has part of it
			if p.off <= at {
				at = p.end()
			} else {
				next = p.off
				break
			}
		}
		if at >= next {
			continue
		}
		p := f.newPageLocked(at, next-at, true)
		if p == nil {
			s.refused(at, f.c.o.Fill)
			break
		}
		begun = append(begun, p)
		at = next
	}
	return begun
}

// newPageLocked puts a page into the tree whose fill the caller has to begin. It
// returns nil where the cache does not admit it.
func (f *File) newPageLocked(off, n int64, optional bool) *page {
	if !f.c.admit(n, optional) {
		return nil
	}
	b := newBlock(n)
	p := &page{f: f, off: off, blk: b, data: b.buf[:n], done: make(chan struct{}), optional: optional, filling: true}
	f.pages.Set(off, p)
	return p
}

// fill reads p from the backend. The context lends its values only.
func (f *File) fill(ctx context.Context, p *page) {
	defer f.c.fills.Done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(f.c.ctx, cancel)()
	n, err := f.backend.ReadAt(ctx, p.data, p.off)

	f.mu.Lock()
	p.data, p.err, p.filling = p.data[:n], err, false
	stays := !p.detached && n > 0 && (err == nil || errors.Is(err, io.EOF))
	if !stays && !p.detached {
		p.detached = true
		f.pages.Delete(p.off)
	}
	if stays {
		f.c.enlist(p, nil)
	}
	f.mu.Unlock()
	close(p.done)
	if p.optional {
		f.c.optionalDone()
	}
	if !stays {
		f.c.drop(p.blk)
	}
	f.c.evict() // this page too, if there are more fills than the budget holds
}
