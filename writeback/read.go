package writeback

import (
	"context"
	"errors"
	"io"
)

// ReadAt reads what programs have to see: the server's bytes with the extents
// laid over them. It asks the server only where extents do not cover the range,
// and so works without a connection where they do.
//
// The extents are collected before the server is asked. One that is acknowledged
// in between is then laid over bytes which it equals; the other order would miss
// it in both places. Extents that were acknowledged before are not laid over what
// this connection says: somebody else may have written since.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, again, err := f.readOnce(ctx, p, off)
		if !again {
			return n, err
		}
	}
}

// readOnce asks to be called again when the connection was lost meanwhile, or
// extents became dirty again for another reason: what the server says then may
// lack what it had acknowledged.
func (f *File) readOnce(ctx context.Context, p []byte, off int64) (n int, again bool, err error) {
	f.mu.Lock()
	link, _ := f.fl.link()
	spans, covered := f.spansLocked(link, off, off+int64(len(p)))
	end := f.endLocked(link)
	redone := f.redone
	cut := int64(-1)
	if f.resendingLocked(link) {
		cut, end = f.trunc.least(), max(end, f.trunc.last())
	}
	f.mu.Unlock()
	if covered {
		return overlay(p, off, 0, spans, end), false, nil
	}
	n, err = f.remote.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false, err
	}
	f.mu.Lock()
	now, _ := f.fl.link()
	changed := f.redone != redone
	f.mu.Unlock()
	if changed || link.Up && now.Generation != link.Generation {
		return 0, true, nil
	}
	if cut >= 0 { // the server may have forgotten the truncation
		n = int(min(int64(n), max(0, cut-off)))
	}
	n = overlay(p, off, n, spans, end)
	if n < len(p) {
		return n, false, io.EOF
	}
	return n, false, nil
}

// theirs reports whether the server, on the present connection, has the extent or
// something newer.
func theirs(e *extent, link Link) bool {
	return e.state == unstable && link.Up && e.gen == link.Generation
}

// endLocked is where the last extent ends that the server may lack.
func (f *File) endLocked(link Link) (end int64) {
	f.set.tree.Reverse(func(_ int64, e *extent) bool {
		if theirs(e, link) {
			return true
		}
		end = e.end()
		return false
	})
	return end
}

// spansLocked returns the bytes of [off, end) that the server may lack, and
// whether they are all of it.
func (f *File) spansLocked(link Link, off, end int64) (spans []span, covered bool) {
	at := off
	f.set.overlapping(off, end, func(e *extent) bool {
		if theirs(e, link) {
			return true
		}
		spans = append(spans, span{e.off, e.data})
		if e.off <= at {
			at = e.end()
		}
		return true
	})
	return spans, at >= end
}
