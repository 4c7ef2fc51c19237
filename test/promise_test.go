package test

import (
	"bytes"
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
		syncs := r.Proxy.Count(r.said("Rfsync"))
		r.ok(f.Fill(r.ctx, 0, 300<<10, 1))
		_, err := g.Pwrite(r.ctx, 500<<10, []byte("by write(2)"))
		r.ok(err)
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, 300<<10, 1))
		r.serverHas("f", 500<<10, []byte("by write(2)"))
		if r.Proxy.Count(r.said("Rfsync")) == syncs {
			r.t.Error("msync returned 0 without a Tfsync")
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
		r.ok(reader.Close(r.ctx))
		if !r.allIn(errjournal.Pending) {
			r.t.Errorf("journal:\n%s", r.journalText())
		}
		r.heal()
		r.await("the bytes to be sent by themselves", func() bool { return r.allIn(errjournal.Resolved) })
		r.serverHas("f", 4096, []byte("new"))
		r.ok(f.Msync(r.ctx))
		r.ok(f.Close(r.ctx))
	}, "--hold-timeout", "600ms")
}

func TestPromise02_ReconnectDuringHoldIsNotSeen(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", pattern.Bytes(0, 1<<20, 3))
		f := r.mapped("f")
		r.lost()
		sync := f.Go("fsync")
		load := r.open("f", "r") // the open is answered by what is known, its reads wait
		r.ok(load.Map(r.ctx, 0, 0, "ro"))
		sum := load.Go("check", 512<<10, 8192, 3)
		r.heal()
		_, err := sync.Wait(r.ctx)
		r.ok(err)
		_, err = sum.Wait(r.ctx)
		r.ok(err)
	}, "--hold-timeout", "30s")
}

func TestPromise03_FailPolicyAnswersAtOnce(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.mapped("f")
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
			if d := time.Since(began); d > time.Second {
				r.t.Errorf("the verdict took %v", d)
			}
		}
		if b, err := f.Load(r.ctx, 0, 3); err != nil || string(b) != "new" {
			r.t.Errorf("the held bytes read %q, %v", b, err)
		}
		r.heal()
		r.await("the bytes to be sent by themselves", func() bool { return r.allIn(errjournal.Resolved) })
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
			r.fails(later.Fsync(r.ctx), want)
			r.fails(later.Close(r.ctx), want)
			if l := r.journal(); len(l) == 0 || l[0].State != errjournal.Failed || l[0].Errno != want || l[0].File != "f" || l[0].Off != 8192 {
				r.t.Errorf("journal:\n%s", r.journalText())
			}
			r.ok(f.Check(r.ctx, 8192, 8192, 7))
			r.Proxy.Clear()
			r.await("the bytes to be sent by themselves", func() bool { return r.allIn(errjournal.Resolved) })
			r.serverHas("f", 8192, pattern.Bytes(8192, 8192, 7))
			r.ok(f.Msync(r.ctx))
			r.ok(other.Close(r.ctx))
		})
	}
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

func TestPromise09_ServerKilledUnderADirtyMappingLosesNothing(t *testing.T) {
	servers(t, func(r *rig) {
		const size = 8 << 20
		r.put("f", make([]byte, size))
		f := r.mapped("f")
		_, err := f.Go("touch", 0, size, 4096).Wait(r.ctx) // no fault shall need the server later
		r.ok(err)
		r.ok(f.Fill(r.ctx, 0, size/2, 1))
		r.ok(f.Msync(r.ctx))
		r.Server.Kill()
		r.ok(f.Fill(r.ctx, size/2, size/2, 2))
		sync := f.Go("msync")
		r.await("pending", func() bool { return slices.Contains(r.states(), errjournal.Pending) })
		r.Server.Start()
		_, err = sync.Wait(r.ctx)
		r.ok(err)
		r.serverHas("f", 0, pattern.Bytes(0, size/2, 1))
		r.serverHas("f", size/2, pattern.Bytes(size/2, size/2, 2))
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

func TestPromise15_StalledServerDoesNotHoldTheKilled(t *testing.T) {
	for _, what := range []string{"fault", "read", "fsync", "stat"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, p9test.Diod, "--hold-timeout", "1m", "--attr-timeout", "0")
			r.put("f", pattern.Bytes(0, 1<<20, 5))
			f := r.mapped("f")
			r.rules("stall")
			var call *p9test.Call
			switch what {
			case "fault":
				call = f.Go("load", 0, 1)
			case "read":
				call = f.Go("pread", 0, 1)
			case "fsync":
				call = f.Go("fsync")
			case "stat":
				call = f.Go("size")
			}
			select {
			case <-call.Done():
				r.t.Fatal("the call ended though the server is stalled")
			case <-time.After(300 * time.Millisecond):
			}
			began := time.Now()
			if !r.Helper.Kill() {
				r.t.Errorf("SIGKILL did not end it")
			}
			if d := time.Since(began); d > 2*time.Second {
				r.t.Errorf("SIGKILL took %v", d)
			}
			r.Proxy.Resume()
		})
	}
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
