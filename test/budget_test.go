package test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test/pattern"
)

func TestPromise07_FullBudgetDropsOnlyWhatComesIn(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 16<<20))
		r.put("g", make([]byte, 4096))
		f := r.mapped("f")
		g := r.mapped("g")
		r.ok(f.Fill(r.ctx, 0, 4096, 1)) // the page is there, and the file was written to
		r.ok(g.Store(r.ctx, 0, []byte("g")))
		r.ok(f.Msync(r.ctx))
		r.ok(g.Msync(r.ctx))
		r.ok(g.Store(r.ctx, 0, []byte("G")))
		_, err := g.Go("msync", 0, 4096, "async").Wait(r.ctx)
		r.ok(err)
		_, err = f.Pread(r.ctx, 15<<20, 1<<20) // so that write(2) finds its pages
		r.ok(err)
		r.lost()
		wrote := 0
		for off := int64(0); off < 8<<20; off += 1 << 20 {
			var n int
			if n, err = f.Pwrite(r.ctx, off, pattern.Bytes(off, 1<<20, 2)); err != nil {
				break
			}
			wrote += n
		}
		r.fails(err, syscall.ETIMEDOUT)
		if wrote < 3<<20 {
			r.t.Errorf("only %d bytes were kept", wrote)
		}
		if !slices.Contains(r.states(), errjournal.Dropped) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		for _, e := range r.journal() {
			if e.State == errjournal.Dropped && !strings.HasPrefix(e.Sum, "crc32c:") {
				r.t.Errorf("dropped without a checksum: %v", e)
			}
		}
		r.heal()
		r.await("what was kept to be sent", func() bool { return !slices.ContainsFunc(r.states(), errjournal.State.Open) })
		r.serverHas("f", 0, pattern.Bytes(0, wrote, 2))
		if err := f.Fsync(r.ctx); err == nil {
			r.t.Error("the handle was never told of the bytes that were dropped")
		}
		r.ok(f.Fsync(r.ctx)) // told once
		r.ok(g.Msync(r.ctx))
		r.serverHas("g", 0, []byte("G"))
	}, "--write-behind", "4MiB", "--hold-timeout", "700ms", "--writeback-wait", "200ms")
}

// The kernel cannot interrupt a WRITE of its write-back, so that one waits for room
// a bounded time only. Nobody has the file open any more: the next who opens it is
// told what was dropped.
func TestPromise07_WritebackWaitIsBoundedAndItsLossToldToTheNextHandle(t *testing.T) {
	servers(t, func(r *rig) {
		const size = 8 << 20
		r.put("f", make([]byte, size))
		f := r.mapped("f")
		_, err := f.Go("touch", 0, size, 4096).Wait(r.ctx) // no fault shall need the server later
		r.ok(err)
		r.ok(f.Close(r.ctx))
		r.lost()
		r.ok(f.Fill(r.ctx, 0, size, 1))
		ctx, cancel := context.WithTimeout(r.ctx, 20*time.Second)
		defer cancel()
		_, err = f.Go("unmap").Wait(ctx) // nobody to tell
		r.ok(err)
		if !slices.Contains(r.states(), errjournal.Dropped) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.heal()
		r.await("what was kept to be sent", func() bool { return !slices.ContainsFunc(r.states(), errjournal.State.Open) })
		g := r.open("f", "rw")
		err = g.Fsync(r.ctx)
		if errors.Is(err, syscall.EIO) { // the kernel's own word about a WRITE that failed; it did not ask
			err = g.Fsync(r.ctx)
		}
		r.fails(err, syscall.ETIMEDOUT)
		r.ok(g.Fsync(r.ctx)) // told once
		h := r.open("f", "rw")
		r.ok(h.Fsync(r.ctx)) // and to one
	}, "--write-behind", "4MiB", "--hold-timeout", "50s", "--writeback-wait", "300ms")
}

func TestPromise07_RefusedFileMayTakeAQuarterAndOthersGoOn(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4<<20))
		r.put("g", make([]byte, 4096))
		f, g := r.open("f", "rw"), r.open("g", "rw")
		r.rules("Twrite reply=EDQUOT")
		var err error
		wrote := 0
		for off := int64(0); off < 3<<20; off += 512 << 10 {
			var n int
			if n, err = f.Pwrite(r.ctx, off, pattern.Bytes(off, 512<<10, 2)); err != nil {
				break
			}
			wrote += n
			r.fails(f.Fsync(r.ctx), syscall.EDQUOT)
		}
		r.fails(err, syscall.EDQUOT)
		if wrote < 1<<20 {
			r.t.Errorf("only %d bytes were kept", wrote)
		}
		r.Proxy.Clear()
		_, err = g.Pwrite(r.ctx, 0, []byte("g goes on"))
		r.ok(err)
		r.ok(g.Fsync(r.ctx))
		if !slices.Contains(r.states(), errjournal.Failed) || !slices.Contains(r.states(), errjournal.Dropped) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.fails(f.Fsync(r.ctx), syscall.EDQUOT) // of what was dropped
		r.ok(f.Fsync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, wrote, 2))
	}, "--write-behind", "4MiB", "--retry-interval", "1h")
}
