package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"p9mapfs/test/p9test"
)

// A signal that ends nobody does not end the wait for a lost connection, unless the
// mount was asked for that. sync(1) calls fsync once.
func TestPromise02_HarmlessSignalEndsTheWaitOnlyWithIntr(t *testing.T) {
	for _, intr := range []bool{false, true} {
		t.Run(fmt.Sprint("intr=", intr), func(t *testing.T) {
			r := newRig(t, p9test.Embedded, "--hold-timeout", "50s", fmt.Sprint("--intr=", intr))
			r.put("f", make([]byte, 4096))
			f := r.open("f", "rw")
			r.lost()
			_, err := f.Pwrite(r.ctx, 0, []byte("held"))
			r.ok(err)
			sync := exec.CommandContext(r.ctx, "sync", filepath.Join(r.Path, "f"))
			sync.Env = append(os.Environ(), "LC_ALL=C")
			var said bytes.Buffer
			sync.Stderr = &said
			sync.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			r.ok(sync.Start())
			ended := make(chan error, 1)
			go func() { ended <- sync.Wait() }()
			r.await("fsync", func() bool { return syscallOf(sync.Process.Pid) == syscall.SYS_FSYNC })
			r.ok(sync.Process.Signal(syscall.SIGSTOP))
			r.await("the signal to be seen", func() bool { return stateOf(sync.Process.Pid) != "S" })
			r.ok(sync.Process.Signal(syscall.SIGCONT))
			if !intr {
				r.await("fsync to go on", func() bool { return stateOf(sync.Process.Pid) == "D" && len(ended) == 0 })
				r.heal()
			}
			select {
			case err = <-ended:
			case <-r.ctx.Done():
				t.Fatal("fsync never ends")
			}
			if intr != strings.Contains(said.String(), "Interrupted system call") || intr != (err != nil) {
				t.Errorf("fsync: %v, %s", err, said.String())
			}
		})
	}
}

// syscallOf is the number of the system call in which a process is, or -1.
func syscallOf(pid int) (n int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil {
		return -1
	}
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		return -1 // it runs
	}
	return n
}

// stateOf is the letter that ps(1) shows.
func stateOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if _, after, ok := strings.Cut(string(text), ") "); ok && err == nil {
		return after[:1]
	}
	return ""
}
