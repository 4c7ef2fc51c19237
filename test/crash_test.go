package test

import (
	"slices"
	"syscall"
	"testing"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test/pattern"
)

func TestPromise09_ServerKilledUnderADirtyMappingLosesNothing(t *testing.T) {
	servers(t, func(r *rig) {
		const size = 8 << 20
		r.put("f", make([]byte, size))
		f := r.mapped("f")
		_, err := f.Go("touch", 0, size, 4096).Wait(r.ctx) // no fault shall need the server later
		r.ok(err)
		r.ok(f.Fill(r.ctx, 0, size/2, 1))
		r.ok(f.Msync(r.ctx))
		// Some of its Twrites are on their way when the server dies, and some not yet.
		r.rules("Twrite drop")
		r.ok(f.Fill(r.ctx, size/2, size/4, 2))
		sync := f.Go("msync")
		r.ok(r.Proxy.WaitFired(r.ctx, "Twrite drop", 1))
		r.Server.Kill()
		r.Proxy.Clear()
		r.await("pending", func() bool { return slices.Contains(r.states(), errjournal.Pending) })
		r.Server.Start()
		_, err = sync.Wait(r.ctx)
		r.ok(err)
		r.serverHas("f", 0, pattern.Bytes(0, size/2, 1))
		r.serverHas("f", size/2, pattern.Bytes(size/2, size/4, 2))
	}, "--hold-timeout", "50s")
}

func TestPromise09_FailedTfsyncIsNotBelievedLater(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.mapped("f")
		r.rules("Tfsync reply=EIO count=1")
		r.ok(f.Fill(r.ctx, 0, 64<<10, 4))
		r.fails(f.Msync(r.ctx), syscall.EIO)
		// The server lost the bytes and says 0 from now on.
		r.put("f", make([]byte, 64<<10))
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, 64<<10, 4))
	}, "--retry-interval", "1h")
}

func TestPromise09_AcknowledgedBytesThatACrashLostAreSentAgain(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.mapped("f")
		other := r.open("f", "rw")
		r.ok(f.Fill(r.ctx, 0, 64<<10, 4))
		r.rules("Tfsync drop") // of the mount's own accord
		_, err := f.Go("msync", 0, 64<<10, "async").Wait(r.ctx)
		r.ok(err)
		_, err = other.Pwrite(r.ctx, 0, pattern.Bytes(0, 4096, 4))
		r.ok(err)
		r.ok(other.Close(r.ctx)) // it was acknowledged, and no Tfsync came
		r.serverHas("f", 0, pattern.Bytes(0, 64<<10, 4))
		r.lost()
		r.Proxy.Clear()
		r.put("f", make([]byte, 64<<10)) // the server starts with what was on its disk
		r.heal()
		r.ok(f.Check(r.ctx, 0, 64<<10, 4))
		r.ok(f.Fsync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, 64<<10, 4))
	})
}
