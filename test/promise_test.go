package test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

func TestPromise01_SyncedStoresAreOnTheServerAndSynced(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 1<<20))
		f := r.mapped("f")
		g := r.open("f", "rw") // another handle: its stores count too
		r.rules("Tfsync count=1 hold")
		r.ok(f.Fill(r.ctx, 0, 300<<10, 1))
		_, err := g.Pwrite(r.ctx, 500<<10, []byte("by write(2)"))
		r.ok(err)
		sync := f.Go("msync")
		r.await("a Tfsync, or that msync returns without one", func() bool { return r.Proxy.Held() > 0 || ended(sync) })
		// It was sent when the server had everything, and msync waits for its answer.
		r.serverHas("f", 0, pattern.Bytes(0, 300<<10, 1))
		r.serverHas("f", 500<<10, []byte("by write(2)"))
		r.waiting(sync)
		r.Proxy.Release()
		_, err = sync.Wait(r.ctx)
		r.ok(err)
	})
}

func TestPromise01_WhereTheServerCannotSyncAnAcknowledgedTwriteCounts(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.rules("Tfsync reply=EOPNOTSUPP")
		r.ok(f.Store(r.ctx, 0, []byte("stored")))
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, []byte("stored"))
		if len(r.journal()) > 0 {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
	})
}

func TestPromise02_LostConnectionHoldsThenTimesOutThenHeals(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.mapped("f")
		reader := r.open("f", "r")
		r.ok(f.Store(r.ctx, 0, []byte("old")))
		r.ok(f.Msync(r.ctx))
		r.lost()
		r.ok(f.Store(r.ctx, 4096, []byte("new")))
		began := time.Now()
		r.fails(f.Msync(r.ctx), syscall.ETIMEDOUT)
		if d := time.Since(began); d < 400*time.Millisecond {
			r.t.Errorf("msync waited %v only", d)
		}
		for range 2 { // at once now, on every handle
			began = time.Now()
			r.fails(f.Fsync(r.ctx), syscall.ETIMEDOUT)
			if d := time.Since(began); d > 400*time.Millisecond {
				r.t.Errorf("fsync after the hold time waited %v", d)
			}
		}
		if b, err := f.Load(r.ctx, 4096, 3); err != nil || string(b) != "new" {
			r.t.Errorf("the held bytes read %q, %v", b, err)
		}
		_, err := f.Pwrite(r.ctx, 64<<10, []byte("tail"))
		r.ok(err)
		if n, err := f.Size(r.ctx); err != nil || n != 64<<10+4 {
			r.t.Errorf("grown while the server is away, its size is %d, %v", n, err)
		}
		r.ok(reader.Close(r.ctx))
		if !r.allIn(errjournal.Pending) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.heal()
		r.await("the bytes to be sent by themselves", func() bool { return r.allIn(errjournal.Resolved) })
		r.serverHas("f", 4096, []byte("new"))
		r.serverHas("f", 64<<10, []byte("tail"))
		r.ok(f.Msync(r.ctx))
		r.ok(f.Close(r.ctx))
	}, "--hold-timeout", "600ms")
}

func TestPromise02_ReconnectDuringHoldIsNotSeen(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		r.put("unread", pattern.Bytes(0, 1<<20, 3))
		f := r.mapped("f")
		r.open("unread", "r")
		r.ok(f.Store(r.ctx, 0, []byte("old")))
		r.lost()
		r.ok(f.Store(r.ctx, 0, []byte("new")))
		sync := f.Go("msync")
		load := r.open("unread", "r") // the open is answered by what is known, its reads wait
		r.ok(load.Map(r.ctx, 0, 0, "ro"))
		sum := load.Go("check", 512<<10, 8192, 3)
		r.waiting(sync, sum)
		r.heal()
		_, err := sync.Wait(r.ctx)
		r.ok(err)
		r.serverHas("f", 0, []byte("new"))
		_, err = sum.Wait(r.ctx)
		r.ok(err)
	}, "--hold-timeout", "30s")
}

func TestPromise03_FailPolicyAnswersAtOnce(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		r.put("unread", make([]byte, 64<<10))
		f := r.mapped("f")
		other := r.open("f", "rw")
		unread := r.mapped("unread")
		r.ok(f.Store(r.ctx, 0, []byte("old")))
		r.ok(f.Msync(r.ctx))
		r.lost()
		r.ok(f.Store(r.ctx, 0, []byte("new")))
		for range 2 {
			began := time.Now()
			if err := f.Msync(r.ctx); err == nil {
				r.t.Error("msync returned 0 though the server is away")
			} else if err := f.Fsync(r.ctx); err == nil {
				r.t.Error("fsync returned 0 though the server is away")
			}
			if _, err := unread.Load(r.ctx, 0, 1); !errors.Is(err, p9test.ErrSIGBUS) {
				r.t.Errorf("a load of what is not held: %v", err)
			}
			_, err := unread.Pread(r.ctx, 0, 1)
			r.fails(err, syscall.EIO)
			if d := time.Since(began); d > time.Second {
				r.t.Errorf("the verdict took %v", d)
			}
		}
		if b, err := f.Load(r.ctx, 0, 3); err != nil || string(b) != "new" {
			r.t.Errorf("the held bytes read %q, %v", b, err)
		}
		verdict := errors.Unwrap(f.Fsync(r.ctx))
		r.fails(other.Close(r.ctx), verdict)
		if l := r.journal(); l[0].State != errjournal.Pending || l[0].File != "f" {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.heal()
		r.await("the bytes to be sent by themselves", func() bool {
			return !slices.ContainsFunc(r.states(), errjournal.State.Open)
		})
		r.serverHas("f", 0, []byte("new"))
		r.ok(f.Msync(r.ctx))
	}, "--on-disconnect", "fail")
}

func TestPromise04_RefusedFlushKeepsBytesAndErrno(t *testing.T) {
	for _, errno := range []string{"ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EFBIG", "EIO"} {
		t.Run(errno, func(t *testing.T) {
			kind := p9test.Embedded
			if errno == "ENOSPC" {
				kind = p9test.Diod
			}
			r := newRig(t, kind)
			want := errnos[errno]
			r.put("f", make([]byte, 64<<10))
			f := r.mapped("f")
			other := r.open("f", "rw")
			r.rules("Twrite reply=" + errno)
			r.ok(f.Fill(r.ctx, 8192, 8192, 7))
			for range 3 {
				r.fails(f.Msync(r.ctx), want)
				r.fails(other.Fsync(r.ctx), want)
			}
			later := r.open("f", "rw")
			_, err := later.Pwrite(r.ctx, 32<<10, []byte("held too")) // which is no verdict
			r.ok(err)
			r.fails(later.Fsync(r.ctx), want)
			r.fails(later.Close(r.ctx), want)
			if l := r.journal(); len(l) == 0 || l[0].State != errjournal.Failed || l[0].Errno != want || l[0].File != "f" || l[0].Off != 8192 {
				t.Errorf("journal:\n%s", r.journalText())
			}
			r.ok(f.Check(r.ctx, 8192, 8192, 7))
			r.Proxy.Clear()
			r.await("the bytes to be sent by themselves", func() bool { return r.allIn(errjournal.Resolved) })
			r.serverHas("f", 8192, pattern.Bytes(8192, 8192, 7))
			r.serverHas("f", 32<<10, []byte("held too"))
			r.ok(f.Msync(r.ctx))
			r.ok(other.Close(r.ctx))
		})
	}
}

func TestPromise04_IntervalOfRetriesGrows(t *testing.T) {
	r := newRig(t, p9test.Embedded, "--retry-interval", "100ms")
	r.put("f", make([]byte, 4096))
	f := r.open("f", "rw")
	const rule = "Twrite reply=ENOSPC"
	r.rules(rule)
	began := time.Now()
	_, err := f.Pwrite(r.ctx, 0, []byte("refused"))
	r.ok(err)
	r.ok(r.Proxy.WaitFired(r.ctx, rule, 5))
	// It is sent after half a second, and again after 100, 200, 400 and 800 ms.
	if d := time.Since(began); d < 1900*time.Millisecond {
		t.Errorf("five attempts in %v", d)
	}
	r.fails(f.Fsync(r.ctx), syscall.ENOSPC) // asks at once
	r.Proxy.Clear()
	r.ok(f.Fsync(r.ctx))
}

var errnos = map[string]syscall.Errno{
	"ENOSPC": syscall.ENOSPC, "EDQUOT": syscall.EDQUOT, "EROFS": syscall.EROFS, "EACCES": syscall.EACCES,
	"EPERM": syscall.EPERM, "EFBIG": syscall.EFBIG, "EIO": syscall.EIO,
}

func TestPromise05_RetryNeverBringsBackOlderBytes(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.rules("Twrite reply=ENOSPC")
		r.ok(f.Store(r.ctx, 0, []byte("older")))
		r.fails(f.Msync(r.ctx), syscall.ENOSPC)
		r.ok(f.Store(r.ctx, 0, []byte("newer")))
		r.fails(f.Msync(r.ctx), syscall.ENOSPC)
		r.Proxy.Clear()
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, []byte("newer"))
		if !slices.Contains(r.states(), errjournal.Superseded) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
	})
}

func TestPromise08_ShortTwriteIsCompleted(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 32<<10))
		f := r.mapped("f")
		r.rules("Twrite take=1000 count=3")
		r.ok(f.Fill(r.ctx, 0, 32<<10, 9))
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, 32<<10, 9))
		r.Proxy.Clear()
		r.rules("Twrite take=0")
		r.ok(f.Store(r.ctx, 0, []byte("x")))
		r.fails(f.Msync(r.ctx), syscall.EIO)
		r.Proxy.Clear()
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, []byte("x"))
	})
}

func TestPromise11_FailedFaultIsSIGBUSForThatAccessOnly(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", pattern.Bytes(0, 64<<10, 5))
		f := r.mapped("f")
		r.rules("Tread reply=EIO")
		if _, err := f.Load(r.ctx, 0, 1); err == nil || !strings.Contains(err.Error(), "SIGBUS") {
			r.t.Errorf("a load whose Tread fails: %v", err)
		}
		if !slices.Contains(r.states(), errjournal.Fault) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.Proxy.Clear()
		r.ok(f.Check(r.ctx, 0, 64<<10, 5))
	})
}

func TestPromise12_StoreAfterCloseIsToldToTheNextHandle(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.ok(f.Close(r.ctx))
		r.rules("Twrite reply=ENOSPC")
		r.ok(f.Store(r.ctx, 0, []byte("after close")))
		r.ok(f.Unmap(r.ctx)) // nobody to tell
		r.await("failed", func() bool { return slices.Contains(r.states(), errjournal.Failed) })
		g := r.open("f", "rw")
		r.fails(g.Fsync(r.ctx), syscall.ENOSPC)
		r.Proxy.Clear()
		r.ok(g.Fsync(r.ctx))
		r.serverHas("f", 0, []byte("after close"))
	})
}

func TestPromise13_MsAsyncPromisesNothingAndLosesNothing(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.rules("Twrite reply=EDQUOT")
		r.ok(f.Store(r.ctx, 0, []byte("async")))
		_, err := f.Go("msync", 0, 4096, "async").Wait(r.ctx)
		r.ok(err)
		r.fails(f.Msync(r.ctx), syscall.EDQUOT)
		r.Proxy.Clear()
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, []byte("async"))
	})
}

func TestPromise16_AnotherClientsChangeIsSeen(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", pattern.Bytes(0, 10_000, 1))
		f := r.mapped("f")
		r.ok(f.Check(r.ctx, 0, 10_000, 1))
		time.Sleep(20 * time.Millisecond) // another tick of the server's clock
		r.put("f", pattern.Bytes(0, 30_000, 2))
		g := r.open("f", "r") // close-to-open
		got, err := g.Pread(r.ctx, 0, 40_000)
		r.ok(err)
		if !bytes.Equal(got, pattern.Bytes(0, 30_000, 2)) {
			r.t.Errorf("the next open reads %d bytes; they differ at %d", len(got), differ(got, pattern.Bytes(0, 30_000, 2)))
		}
		time.Sleep(20 * time.Millisecond)
		r.put("f", pattern.Bytes(0, 20_000, 3))
		r.await("the open mapping to see it", func() bool {
			if _, err := f.Size(r.ctx); err != nil { // asks for attributes
				r.t.Fatal(err)
			}
			return f.Check(r.ctx, 0, 10_000, 3) == nil
		})
		r.await("the size", func() bool { n, err := f.Size(r.ctx); return err == nil && n == 20_000 })
		got, err = g.Pread(r.ctx, 0, 40_000)
		r.ok(err)
		if !bytes.Equal(got, pattern.Bytes(0, 20_000, 3)) {
			r.t.Errorf("the open handle reads %d bytes; they differ at %d", len(got), differ(got, pattern.Bytes(0, 20_000, 3)))
		}
	})
}

func TestPromise18_ShortRreadIsNoEndOfFile(t *testing.T) {
	servers(t, func(r *rig) {
		data := pattern.Bytes(0, 300_001, 6)
		r.put("f", data)
		r.rules("Rread short=1000 every=2")
		f := r.open("f", "r")
		r.ok(f.Map(r.ctx, 0, 0, "ro"))
		r.ok(f.Check(r.ctx, 0, int64(len(data)), 6))
		got, err := os.ReadFile(filepath.Join(r.Path, "f"))
		if err != nil || !bytes.Equal(got, data) {
			r.t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}
