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
// The extents are collected before the server is asked. An extent that becomes
// durable in between is then laid over bytes which it equals; the other order
// would miss it in both places.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	f.mu.Lock()
	spans, covered := f.spansLocked(off, off+int64(len(p)))
	end := f.set.end()
	cut := int64(-1)
	if f.trunc != nil && f.trunc.resend {
		cut, end = f.trunc.least(), max(end, f.trunc.last())
	}
	f.mu.Unlock()
	if covered {
		return overlay(p, off, 0, spans, end), nil
	}
	n, err := f.remote.ReadAt(ctx, p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if cut >= 0 { // the server may have forgotten the truncation
		n = int(min(int64(n), max(0, cut-off)))
	}
	n = overlay(p, off, n, spans, end)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// spansLocked returns the bytes held of [off, end), and whether they are all of
// it.
func (f *File) spansLocked(off, end int64) (spans []span, covered bool) {
	at := off
	f.set.overlapping(off, end, func(e *extent) bool {
		spans = append(spans, span{e.off, e.data})
		if e.off <= at {
			at = e.end()
		}
		return true
	})
	return spans, at >= end
}
