package test

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"p9mapfs/test/p9test/pattern"
)

func TestPromise14_SignalSendsWhatIsOnlyInTheKernel(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 1<<20))
		f := r.mapped("f")
		r.ok(f.Fill(r.ctx, 0, 1<<20, 1)) // no msync, and it stays mapped
		if status := r.Unmount(); status != 0 {
			t.Errorf("exit status %d:\n%s", status, r.Stderr())
		}
		r.serverHas("f", 0, pattern.Bytes(0, 1<<20, 1))
	})
}

func TestPromise14_LazyUnmountServesUntilTheLastUserIsGone(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 1<<20))
		f := r.mapped("f")
		r.ok(exec.Command("umount", "-l", r.Path).Run())
		r.ok(f.Fill(r.ctx, 0, 512<<10, 1))
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, 512<<10, 1))
		r.ok(f.Fill(r.ctx, 512<<10, 512<<10, 1))
		r.ok(r.Helper.Exit(r.ctx, 0)) // without msync
		ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
		defer cancel()
		if status, err := r.Wait(ctx); err != nil || status != 0 {
			t.Errorf("exit status %d, %v:\n%s", status, err, r.Stderr())
		}
		r.serverHas("f", 0, pattern.Bytes(0, 1<<20, 1))
	})
}
