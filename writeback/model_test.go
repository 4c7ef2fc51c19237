package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/pagecache"
	"p9mapfs/writeback"
)

var _ pagecache.Backend = (*writeback.File)(nil)

// TestModel lets random stores, truncations, discards, reads, evictions and syncs
// meet a slow server that refuses, crashes and is cut off, and compares what is
// read with a slice of bytes, at every step, and what is on the disk after every
// Sync that returned nil. Trust and Through are drawn for each round; a server
// that is trusted does not crash.
func TestModel(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	rnd, _ := seed(t)
	for range rounds {
		model(t, rnd)
		if t.Failed() {
			return
		}
	}
}

func model(t *testing.T, rnd *rand.Rand) {
	const limit = 600 << 10
	o := writeback.Options{
		Budget: 4 << 20, MaxWrite: 1 << (10 + rnd.IntN(7)), Workers: 1 + rnd.IntN(8),
		Trust: rnd.IntN(4) == 0, Through: rnd.IntN(4) == 0,
		Age: time.Duration(rnd.IntN(3)) * time.Millisecond, Retry: time.Millisecond, SyncAge: time.Duration(1+rnd.IntN(5)) * time.Millisecond,
	}
	if o.Through { // each store waits for all of its Twrites
		o.MaxWrite = 64 << 10
	}
	r := newRig(t, o)
	cache := pagecache.New(pagecache.Options{Budget: 256 << 10, Fill: 1 << (12 + rnd.IntN(5))})
	defer cache.Close()
	f := cache.Open(r.f)
	r.onDropped = f.Invalidate
	handle := r.cursor()
	var slow atomic.Uint32
	r.set(func() {
		r.delay = func() time.Duration { return time.Duration(slow.Add(7919)%400) * time.Microsecond }
	})
	var want []byte
	trouble := "" // what is wrong with the server now
	ctx := t.Context()
	durable := func() []byte {
		if o.Trust {
			return r.mem
		}
		return r.disk
	}
	for step := range 150 {
		off := rnd.Int64N(limit)
		if rnd.IntN(2) == 0 {
			off &^= 4095
		}
		n := 1 + rnd.IntN(1<<rnd.IntN(17))
		switch op := rnd.IntN(22); {
		case op < 8:
			p := pattern(n, byte(step))
			wctx, cancel := ctx, context.CancelFunc(func() {})
			if o.Through && trouble == "cut" {
				wctx, cancel = context.WithTimeout(ctx, time.Millisecond)
			}
			_, err := f.WriteAt(wctx, p, off)
			cancel()
			if err != nil {
				t.Fatalf("step %d: WriteAt(%d, %d): %v", step, n, off, err)
			}
			if grow := off + int64(n) - int64(len(want)); grow > 0 {
				want = append(want, make([]byte, grow)...)
			}
			copy(want[off:], p)
		case op < 14 && trouble != "cut":
			p := make([]byte, n)
			f.SetEnd(int64(len(want)))
			k, err := f.ReadAt(ctx, p, off)
			var expect []byte
			if off < int64(len(want)) {
				expect = want[off:min(off+int64(n), int64(len(want)))]
			}
			if !bytes.Equal(p[:k], expect) || k < n && !errors.Is(err, io.EOF) || k == n && err != nil {
				t.Fatalf("step %d (%s): ReadAt(%d, %d) = %d, %v; want %d bytes; differ at %d", step, trouble, n, off, k, err, len(expect), differ(p[:k], expect))
			}
		case op == 14 && trouble != "cut":
			size := rnd.Int64N(limit)
			if err := f.Truncate(ctx, size); err != nil {
				t.Fatalf("step %d: Truncate(%d): %v", step, size, err)
			}
			want = resize(want, size)
		case op == 15:
			f.Invalidate(off, int64(n))
		case op == 16 && trouble == "":
			err := r.f.Sync(ctx)
			for range 3 { // a refusal may have been under way
				if err != nil {
					err = r.f.Sync(ctx)
				}
			}
			if err != nil {
				t.Fatalf("step %d: Sync: %v", step, err)
			}
			r.set(func() { checkDisk(t, durable(), want) })
		case op == 17 && trouble == "":
			if rnd.IntN(2) == 0 {
				trouble = "cut"
				r.cut(!o.Trust && rnd.IntN(2) == 0, time.Hour)
			} else {
				trouble = "refusing"
				r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite", "Tfsync") })
			}
		case op >= 20:
			if rnd.IntN(2) == 0 || r.f.Truncations() != nil {
				off, n = 0, -1 // the server is believed, and not what is to be sent again
			}
			want = discard(r, handle, want, off, int64(n))
		case op == 18 && trouble == "refusing":
			sctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			if err := r.f.Sync(sctx); err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("step %d: Sync while the server refuses: %v", step, err)
			}
			cancel()
		case op >= 18 && trouble != "":
			if trouble == "cut" {
				r.heal()
			} else {
				r.set(func() { r.refuse = nil })
			}
			trouble = ""
		}
		for trouble == "" {
			before := r.f.Changes()
			var onServer int64
			r.set(func() { onServer = int64(len(r.mem)) })
			got := r.f.Size(onServer)
			if r.f.Changes() != before {
				continue // a Twrite was acknowledged between the two
			}
			if got != int64(len(want)) {
				t.Fatalf("step %d: size %d, want %d", step, got, len(want))
			}
			break
		}
	}
	r.set(func() { r.refuse = nil })
	if trouble == "cut" {
		r.heal()
	}
	r.await("a clean Sync", func() bool { return r.f.Sync(ctx) == nil })
	r.set(func() { checkDisk(t, durable(), want) })
	for _, e := range r.journal.Entries("") {
		if e.State.Open() {
			t.Errorf("open at the end: %v", e)
		}
	}
	r.fl.Close()
}

// discard returns what programs have to see afterwards: the server's bytes there.
// Then the server, by itself, makes durable what it has.
func discard(r *rig, handle *errjournal.Cursor, want []byte, off, n int64) []byte {
	r.t.Helper()
	told := len(r.dropped)
	if _, err := r.f.Discard(r.t.Context(), off, n); err != nil {
		r.t.Fatalf("Discard(%d, %d): %v", off, n, err)
	}
	if err := handle.Check(); (err != nil) != (len(r.dropped) > told) || handle.Check() != nil {
		r.t.Fatalf("Discard(%d, %d) dropped %v; the handle is told %v", off, n, r.dropped[told:], err)
	}
	for {
		before := r.f.Changes()
		var mem []byte
		r.set(func() {
			mem = append([]byte(nil), r.mem...)
			r.disk = mem
		})
		size := r.f.Size(int64(len(mem)))
		if r.f.Changes() != before {
			continue
		}
		end := size
		if n >= 0 {
			end = min(off+n, size)
		}
		want = resize(want, size)
		if off < end {
			clear(want[off:end])
			copy(want[off:end], mem[min(off, int64(len(mem))):])
		}
		return want
	}
}

func checkDisk(t *testing.T, disk, want []byte) {
	t.Helper()
	if !bytes.Equal(disk, want) {
		t.Fatalf("after Sync the disk has %d bytes, want %d; they differ at %d", len(disk), len(want), differ(disk, want))
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
