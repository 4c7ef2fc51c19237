package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

const forgetSize = 64 << 10

// A way is how a program stores bytes and asks for the verdict.
type way struct {
	name  string
	store func(ctx context.Context, f *p9test.File) error                         // forgetSize bytes of pattern 4
	sync  func(ctx context.Context, r *rig, f *p9test.File) (*p9test.File, error) // the handle to ask further, and the verdict
}

func fillMapped(ctx context.Context, f *p9test.File) error { return f.Fill(ctx, 0, forgetSize, 4) }

var storeWays = []way{
	{"mmap+msync", fillMapped, func(ctx context.Context, _ *rig, f *p9test.File) (*p9test.File, error) {
		return f, f.Msync(ctx)
	}},
	{"mmap+munmap+close", fillMapped, func(ctx context.Context, r *rig, f *p9test.File) (*p9test.File, error) {
		if err := f.Unmap(ctx); err != nil {
			return f, err
		}
		closed := f.Close(ctx) // with an errno if the mount's own Tfsync had one
		g, err := r.Helper.Open(ctx, filepath.Join(r.Path, "f"), "rw")
		if err != nil || closed != nil {
			return g, errors.Join(err, closed)
		}
		return g, g.Fsync(ctx)
	}},
	{"write+fsync", func(ctx context.Context, f *p9test.File) error {
		_, err := f.Pwrite(ctx, 0, pattern.Bytes(0, forgetSize, 4))
		return err
	}, func(ctx context.Context, _ *rig, f *p9test.File) (*p9test.File, error) {
		return f, f.Fsync(ctx)
	}},
}

// forgets runs a test for each way to store, on a server that forgets what no Tfsync covered.
func forgets(t *testing.T, serve []string, test func(r *rig, w way, f *p9test.File), flags ...string) {
	for _, w := range storeWays {
		t.Run(w.name, func(t *testing.T) {
			r := newRigWith(t, []p9test.Option{p9test.WithServer(p9test.Forgetful), p9test.ServeFlags(serve...)}, flags...)
			r.put("f", make([]byte, forgetSize))
			test(r, w, r.mapped("f"))
		})
	}
}

// crashed stores, asks for the verdict, has the server crash when the proxy holds a message of a rule, and wants everything on the
// disk once the verdict is 0.
func (r *rig) crashed(w way, f *p9test.File, rule string, before []byte) {
	r.t.Helper()
	r.rules(rule)
	verdict := make(chan error, 1)
	go func() {
		err := w.store(r.ctx, f)
		if err == nil {
			_, err = w.sync(r.ctx, r, f)
		}
		verdict <- err
	}()
	r.await("a message to be held", func() bool { return r.Proxy.Held() > 0 })
	r.serverHas("f", 0, before)
	r.ok(r.Server.Crash(r.ctx))
	r.serverHas("f", 0, before)
	r.ok(r.Proxy.Heal())
	r.ok(<-verdict)
	r.serverHas("f", 0, pattern.Bytes(0, forgetSize, 4))
}

func TestPromise09_CrashBeforeTheRwritesAreSeen(t *testing.T) {
	forgets(t, nil, func(r *rig, w way, f *p9test.File) {
		r.crashed(w, f, "Rwrite hold", make([]byte, forgetSize))
	})
}

func TestPromise09_CrashBetweenRwriteAndTfsync(t *testing.T) {
	forgets(t, nil, func(r *rig, w way, f *p9test.File) {
		r.crashed(w, f, "Tfsync hold", make([]byte, forgetSize))
	})
}

func TestPromise09_CrashBetweenTfsyncAndItsReply(t *testing.T) {
	forgets(t, nil, func(r *rig, w way, f *p9test.File) {
		r.crashed(w, f, "Rfsync hold", nil)
	})
}

func TestPromise09_CrashDuringTfsync(t *testing.T) {
	forgets(t, []string{"--crash-in-sync=1,2"}, func(r *rig, w way, f *p9test.File) {
		r.ok(w.store(r.ctx, f))
		_, err := w.sync(r.ctx, r, f)
		r.ok(err)
		r.serverHas("f", 0, pattern.Bytes(0, forgetSize, 4))
		if n := r.Server.Lives(); n != 3 {
			r.t.Errorf("the server crashed %d times, want 2", n-1)
		}
		r.ok(r.Server.Crash(r.ctx)) // it stays there
		r.serverHas("f", 0, pattern.Bytes(0, forgetSize, 4))
	})
}

func TestPromise09_ForgottenBytesAreSentAgainThoughNobodyAsks(t *testing.T) {
	forgets(t, nil, func(r *rig, w way, f *p9test.File) {
		rule := "Tfsync hold"
		r.rules(rule)
		r.ok(w.store(r.ctx, f))
		r.ok(f.Unmap(r.ctx))
		r.ok(f.Close(r.ctx)) // acknowledged by now
		r.serverHas("f", 0, make([]byte, forgetSize))
		r.ok(r.Server.Crash(r.ctx))
		r.ok(r.Proxy.Heal())
		want := pattern.Bytes(0, forgetSize, 4)
		r.await("the bytes to be on the disk", func() bool {
			got, err := os.ReadFile(filepath.Join(r.Dir, "f"))
			return err == nil && bytes.Equal(got, want)
		})
	})
}

func TestPromise09_ATfsyncThatLosesTheBytesIsToldAndTheBytesAreSentAgain(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		name := map[syscall.Errno]string{syscall.EIO: "EIO", syscall.ENOSPC: "ENOSPC"}[errno]
		t.Run(name, func(t *testing.T) {
			forgets(t, []string{"--sync-fails=1,2", "--sync-errno=" + name}, func(r *rig, w way, f *p9test.File) {
				r.ok(w.store(r.ctx, f))
				f, err := w.sync(r.ctx, r, f)
				r.fails(err, errno)
				r.serverHas("f", 0, make([]byte, forgetSize))
				if l := r.journal(); len(l) != 1 || l[0].State != errjournal.Failed || l[0].Errno != errno || l[0].Op != "Tfsync" {
					r.t.Errorf("journal:\n%s", r.journalText())
				}
				for range 2 { // the second one is lost too, though not for us if the mount sent the first of its own accord
					if err = f.Fsync(r.ctx); err == nil {
						break
					}
					r.fails(err, errno)
					r.serverHas("f", 0, make([]byte, forgetSize))
				}
				if err != nil {
					r.ok(f.Fsync(r.ctx))
				}
				r.serverHas("f", 0, pattern.Bytes(0, forgetSize, 4))
				if !r.allIn(errjournal.Resolved) {
					r.t.Errorf("journal:\n%s", r.journalText())
				}
			}, "--retry-interval", "1h")
		})
	}
}

func TestPromise09_ATruncationThatACrashForgotIsDoneAgain(t *testing.T) {
	forgets(t, nil, func(r *rig, w way, f *p9test.File) {
		r.rules("Tfsync hold")
		r.ok(w.store(r.ctx, f))
		r.ok(f.Truncate(r.ctx, 5000))
		sync := f.Go("fsync")
		r.await("a Tfsync", func() bool { return r.Proxy.Held() > 0 })
		r.serverHas("f", 0, make([]byte, forgetSize))
		r.ok(r.Server.Crash(r.ctx))
		r.ok(r.Proxy.Heal())
		_, err := sync.Wait(r.ctx)
		r.ok(err)
		r.diskIs("f", pattern.Bytes(0, 5000, 4), "")
	})
}

// diskIs wants the server's file to be exactly this.
func (r *rig) diskIs(name string, want []byte, history string) {
	r.t.Helper()
	got, err := os.ReadFile(filepath.Join(r.Dir, name))
	r.ok(err)
	if !bytes.Equal(got, want) {
		r.t.Fatalf("%s\nthe disk has %d bytes, want %d; they differ at %d\n%s", history, len(got), len(want), differ(got, want), r.journalText())
	}
}

func numbersOf(l []int) string {
	var b strings.Builder
	for i, n := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}

// lostSync tells whether a verdict is what a Tfsync of --sync-fails answers.
func lostSync(err error) bool { return errors.Is(err, syscall.EIO) }
