package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/writeback"
)

// A gated server lets a test stand between a call and the server.
type gated struct {
	*server
	read, truncate func()
}

func (g *gated) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	g.read()
	return g.server.ReadAt(ctx, p, off)
}

func (g *gated) Truncate(ctx context.Context, size int64) error {
	g.truncate()
	return g.server.Truncate(ctx, size)
}

func newGatedRig(t *testing.T, g *gated, o writeback.Options) *rig {
	r := newRig(t, o)
	g.server = r.server
	r.f = r.fl.Open(g, errjournal.New(errjournal.Options{}).Log(1, "f"), nil)
	return r
}

// A truncation that is sent again goes through the least size that the file had.
// A read under way then must not take that for the end of the file, nor miss what
// was acknowledged after the truncation.
func TestReadDuringATruncationSentAgain(t *testing.T) {
	t.Run("nothing stored", func(t *testing.T) { readDuringTruncation(t, nil) })
	t.Run("acknowledged bytes", func(t *testing.T) { readDuringTruncation(t, pattern(500, 3)) })
}

func readDuringTruncation(t *testing.T, stored []byte) {
	reading, readOn := make(chan struct{}), make(chan struct{})
	cutting, cutOn := make(chan struct{}), make(chan struct{})
	var reads, cuts atomic.Int32
	var second atomic.Int32 // the Tsetattr to stop at
	g := &gated{
		read: func() {
			if reads.Add(1) == 1 {
				close(reading)
				<-readOn
			}
		},
		truncate: func() {
			if cuts.Add(1) == second.Load() {
				close(cutting)
				<-cutOn
			}
		},
	}
	r := newGatedRig(t, g, writeback.Options{Retry: time.Hour, SyncAge: time.Hour, Age: time.Millisecond})
	ctx := t.Context()
	for _, size := range []int64{100, 5000} {
		if err := r.f.Truncate(ctx, size); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]byte, 5000)
	if stored != nil {
		copy(want[4000:], stored)
		r.write(4000, stored)
		r.await("the Rwrite", func() bool { held, _, _ := r.f.Held(); return held == 0 })
	}
	got := make([]byte, 4950)
	var n int
	var err error
	done := make(chan struct{})
	go func() {
		n, err = r.f.ReadAt(ctx, got, 50)
		close(done)
	}()
	<-reading
	r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Tfsync") })
	if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Sync = %v, want ENOSPC", err)
	}
	r.set(func() { r.refuse = nil })
	second.Store(cuts.Load() + 2) // after the least size, before the last
	synced := make(chan error)
	go func() { synced <- r.f.Sync(ctx) }()
	<-cutting
	close(readOn)
	<-done
	if n != len(got) || err != nil || !bytes.Equal(got, want[50:]) {
		t.Errorf("ReadAt = %d, %v; want %d bytes; differ at %d", n, err, len(got), differ(got[:n], want[50:]))
	}
	var onServer int64
	r.set(func() { onServer = int64(len(r.mem)) })
	if size := r.f.Size(onServer); size != 5000 {
		t.Errorf("while the server's file has %d bytes, Size = %d, want 5000", onServer, size)
	}
	close(cutOn)
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	r.set(func() { checkDisk(t, r.disk, want) })
}

// What was acknowledged is the server's, also while a truncation waits for its
// Tfsync: another client may have written since.
func TestAcknowledgedBytesDoNotHideOthersAfterATruncation(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Hour})
	if err := r.f.Truncate(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	r.write(0, []byte("ours"))
	r.await("the Rwrite", func() bool { held, _, _ := r.f.Held(); return held == 0 })
	r.set(func() { copy(r.mem, "else") })
	got := make([]byte, 4)
	if _, err := r.f.ReadAt(t.Context(), got, 0); err != nil || string(got) != "else" {
		t.Errorf("read %q, %v; want what the other client wrote", got, err)
	}
}
