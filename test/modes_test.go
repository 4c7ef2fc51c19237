package test

import (
	"testing"
)

// With --write-through a write has been sent when it returns; a refusal is still
// fsync's to tell, and the bytes are kept.
func TestWriteThroughSendsAtOnce(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", nil)
		f := r.open("f", "rw")
		_, err := f.Pwrite(r.ctx, 0, []byte("through"))
		r.ok(err)
		r.serverHas("f", 0, []byte("through"))
		r.rules("Twrite reply=ENOSPC")
		_, err = f.Pwrite(r.ctx, 0, []byte("refused"))
		r.ok(err)
		r.fails(f.Fsync(r.ctx), errnos["ENOSPC"])
		r.Proxy.Clear()
		r.ok(f.Fsync(r.ctx))
		r.serverHas("f", 0, []byte("refused"))
	}, "--write-through", "--retry-interval", "1h")
}

// With --unstable=trust what the server has acknowledged counts as durable.
func TestTrustNeedsNoSync(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", nil)
		f := r.open("f", "rw")
		_, err := f.Pwrite(r.ctx, 0, []byte("trusted"))
		r.ok(err)
		r.rules("Tfsync reply=EIO")
		r.ok(f.Fsync(r.ctx))
		r.serverHas("f", 0, []byte("trusted"))
	}, "--unstable", "trust")
}
