package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
			r.t.Errorf("exit status %d:\n%s", status, r.Stderr())
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
			r.t.Errorf("exit status %d, %v:\n%s", status, err, r.Stderr())
		}
		r.serverHas("f", 0, pattern.Bytes(0, 1<<20, 1))
	})
}

// A container, or a service with mounts of its own, that was started meanwhile has a
// copy of the mount. Whoever is signalled ends all the same.
func TestPromise14_SignalEndsTheDaemonThoughAnotherNamespaceHasTheMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a mount namespace")
	}
	servers(t, func(r *rig) {
		other := exec.Command("sleep", "60")
		other.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		r.ok(other.Start())
		defer other.Wait()
		defer other.Process.Kill()
		r.ok(os.WriteFile(filepath.Join(r.Path, "f"), []byte("stored"), 0o644))
		if status := r.Unmount(); status != 0 {
			r.t.Errorf("exit status %d:\n%s", status, r.Stderr())
		}
		r.serverHas("f", 0, []byte("stored"))
		if !strings.Contains(r.Stderr(), "is still mounted in another mount namespace") {
			r.t.Errorf("it says:\n%s", r.Stderr())
		}
	})
}
