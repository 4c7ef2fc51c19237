package test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"p9mapfs/test/p9test/pattern"
)

// A program that waits for a server that is stopped can be ended, by Ctrl-C too;
// others go on when the server does.
func TestStoppedServerHoldsNobodyBack(t *testing.T) {
	servers(t, func(r *rig) {
		data := pattern.Bytes(0, 1<<20, 9)
		r.put("f", data)
		cat := func() (*exec.Cmd, *bytes.Buffer) {
			var out bytes.Buffer
			cmd := exec.Command("cat", filepath.Join(r.Path, "f"))
			cmd.Stdout = &out
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			sent := r.Proxy.Count("T*")
			r.ok(cmd.Start())
			r.ok(r.Proxy.WaitCount(r.ctx, "T*", sent+1))
			return cmd, &out
		}
		r.Server.Pause()
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
			cmd, _ := cat()
			began := time.Now()
			r.ok(cmd.Process.Signal(sig))
			cmd.Wait()
			if d := time.Since(began); d > 2*time.Second {
				r.t.Errorf("%v took %v", sig, d)
			}
			if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != sig {
				r.t.Errorf("after %v: %v", sig, cmd.ProcessState)
			}
		}
		cmd, out := cat()
		r.Server.Continue()
		r.ok(cmd.Wait())
		if !bytes.Equal(out.Bytes(), data) {
			r.t.Errorf("cat printed %d bytes, which differ at %d", out.Len(), differ(out.Bytes(), data))
		}
	}, "--attr-timeout", "0", "--hold-timeout", "1m")
}
