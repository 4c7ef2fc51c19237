package test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"

	"p9mapfs/test/p9test"
)

// A background is a program that runs while a test goes on.
type background struct {
	r    *rig
	cmd  *exec.Cmd
	out  lockedBuffer // stdout and stderr
	done chan struct{}
}

// A lockedBuffer takes what a program says while others look at it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a program, which ends with the test at the latest.
func (r *rig) start(words ...string) *background {
	r.t.Helper()
	b := &background{r: r, cmd: exec.Command(words[0], words[1:]...), done: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.ok(b.cmd.Start())
	go func() { b.cmd.Wait(); close(b.done) }()
	r.t.Cleanup(func() { b.cmd.Process.Kill(); <-b.done })
	return b
}

// says waits until what the program has said matches.
func (b *background) says(pattern string) {
	b.r.t.Helper()
	re := regexp.MustCompile(pattern)
	b.r.await(fmt.Sprintf("%v to say %s; it said %q", b.cmd.Args, pattern, b.out.String()), func() bool { return re.MatchString(b.out.String()) })
}

// ends sends a signal, 0 for none, and waits for the end.
func (b *background) ends(sig syscall.Signal) {
	b.r.t.Helper()
	if sig != 0 {
		b.r.ok(b.cmd.Process.Signal(sig))
	}
	b.r.await(fmt.Sprintf("%v to end", b.cmd.Args), func() bool {
		select {
		case <-b.done:
			return true
		default:
			return false
		}
	})
}

func (r *rig) at(name string) string { return filepath.Join(r.Path, name) }

// shell runs a line of bash, which wants the mount's root in $1.
func (r *rig) shell(line string) ran {
	r.t.Helper()
	return run(r.t, nil, "bash", "-c", line, "bash", r.Path)
}

// p9mapfs runs the program.
func (r *rig) p9mapfs(words ...string) ran {
	r.t.Helper()
	return run(r.t, nil, append([]string{p9test.Binary(r.t)}, words...)...)
}

// refuse stores into f with the server refusing, so that its bytes are failed.
func (r *rig) refuse(f *p9test.File, text string) {
	r.t.Helper()
	r.rules("Twrite reply=ENOSPC")
	r.ok(f.Store(r.ctx, 0, []byte(text)))
	r.fails(f.Msync(r.ctx), syscall.ENOSPC)
}

// startAs is start as another user.
func (r *rig) startAs(uid int, words ...string) *background {
	r.t.Helper()
	id := fmt.Sprint(uid)
	return r.start(append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "--pdeathsig", "KILL"}, words...)...)
}
