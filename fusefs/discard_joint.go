package fusefs

import (
	"context"
	"syscall"
)

// A discarder drops what the server has not made durable of [off, off+n), or of
// all from off on if n < 0, and tells how many bytes that were.
type discarder interface {
	Discard(ctx context.Context, off, n int64) (dropped int64, err error)
}

// discard drops everything that the server has not made durable of f.
func (f *file) discard(ctx context.Context) (int64, error) {
	d, ok := any(f.wb).(discarder)
	if !ok {
		return 0, syscall.EOPNOTSUPP
	}
	return d.Discard(ctx, 0, -1)
}
