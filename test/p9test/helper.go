package p9test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ErrSIGBUS says that an access to a mapping faulted; errors.As finds the SIGBUS with the offset.
var ErrSIGBUS = errors.New("SIGBUS")

// ErrHelperEnded answers commands that the child did not live to answer.
var ErrHelperEnded = errors.New("the helper has ended")

// SIGBUS is a fault at an offset of the file.
type SIGBUS struct{ Off int64 }

func (e *SIGBUS) Error() string        { return fmt.Sprintf("SIGBUS at %#x", e.Off) }
func (e *SIGBUS) Is(target error) bool { return target == ErrSIGBUS }

// Helper is a child process that opens and maps files on command: test/maphelper documents the language. Its methods may
// be called from any goroutine; commands of one slot are done in sequence, others at the same time.
type Helper struct {
	proc  *process
	stdin io.WriteCloser
	read  chan struct{} // closed when stdout has ended

	mu       sync.Mutex // guards everything below, and the order of lines in stdin
	calls    map[string]*Call
	lastCall int
	lastSlot int
	ended    bool
}

// Call is a command under way.
type Call struct {
	cmd    string
	done   chan struct{}
	answer string // valid when done is closed
	err    error
}

// StartHelper starts a helper that lives until the test ends; then it is killed, before mounts that are older than it.
func StartHelper(t testing.TB) *Helper {
	t.Helper()
	cmd := exec.Command(maphelperBinary.get(t))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("p9test: %v", err)
	}
	stdout, w := io.Pipe()
	cmd.Stdout = w
	h := &Helper{stdin: stdin, read: make(chan struct{}), calls: make(map[string]*Call)}
	if h.proc, err = launch(cmd, ""); err != nil {
		t.Fatalf("p9test: %v", err)
	}
	go func() {
		<-h.proc.done // everything has been copied then
		w.Close()
	}()
	go h.receive(stdout)
	t.Cleanup(func() {
		if !h.Kill() {
			t.Errorf("p9test: the helper (pid %d) survives SIGKILL: it hangs in the kernel", h.Pid())
		}
		h.proc.report(t)
	})
	return h
}

// receive hands answers to their calls until the child ends.
func (h *Helper) receive(r io.Reader) {
	defer close(h.read)
	for br := bufio.NewReader(r); ; {
		line, err := br.ReadString('\n')
		if err != nil {
			break
		}
		id, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		h.mu.Lock()
		c := h.calls[id]
		delete(h.calls, id)
		h.mu.Unlock()
		if c != nil {
			c.answer, c.err = parseAnswer(answer)
			close(c.done)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for id, c := range h.calls {
		c.err = ErrHelperEnded
		close(c.done)
		delete(h.calls, id)
	}
}

func parseAnswer(a string) (string, error) {
	kind, rest, _ := strings.Cut(a, " ")
	switch kind {
	case "ok":
		return rest, nil
	case "err":
		name, _, _ := strings.Cut(rest, " ")
		if e := errnoByName(name); e != 0 {
			return rest, e
		}
	case "SIGBUS":
		at, _, _ := strings.Cut(rest, " ")
		if off, err := strconv.ParseInt(at, 0, 64); err == nil {
			return rest, &SIGBUS{off}
		}
	case "bad":
		return rest, errors.New(rest)
	}
	return "", fmt.Errorf("answer %q", a)
}

func errnoByName(name string) syscall.Errno {
	if n, err := strconv.Atoi(name); err == nil {
		return syscall.Errno(n)
	}
	for e := syscall.Errno(1); e < 200; e++ {
		if unix.ErrnoName(e) == name {
			return e
		}
	}
	return 0
}

// Go sends a command, without an &ID, and does not wait for it.
func (h *Helper) Go(cmd string) *Call {
	c := &Call{cmd: cmd, done: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastCall++
	id := "&" + strconv.Itoa(h.lastCall)
	err := ErrHelperEnded
	if !h.ended {
		h.calls[id] = c
		_, err = io.WriteString(h.stdin, id+" "+strings.ReplaceAll(cmd, "\n", " ")+"\n")
	}
	if err != nil {
		delete(h.calls, id)
		c.err = err
		close(c.done)
	}
	return c
}

// Done is closed when the answer is there.
func (c *Call) Done() <-chan struct{} { return c.done }

// Wait returns what follows "ok", or an error: a syscall.Errno, a *SIGBUS, or words (wrapped), or the
// context's, after which the command goes on and Wait may be called again.
func (c *Call) Wait(ctx context.Context) (string, error) {
	cmd := c.cmd
	if len(cmd) > 100 {
		cmd = cmd[:100] + "..."
	}
	select {
	case <-c.done:
		if c.err != nil {
			return c.answer, fmt.Errorf("%s: %w", cmd, c.err)
		}
		return c.answer, nil
	case <-ctx.Done():
		return "", fmt.Errorf("%s: no answer: %w", cmd, context.Cause(ctx))
	}
}

// Do is Go and Wait.
func (h *Helper) Do(ctx context.Context, cmd string) (string, error) { return h.Go(cmd).Wait(ctx) }

// Pid is the child's process id.
func (h *Helper) Pid() int { return h.proc.cmd.Process.Pid }

// Kill ends the child with SIGKILL, files open and mapped as they are, and reports whether it was gone within 10 s.
func (h *Helper) Kill() bool {
	if !h.proc.kill() {
		return false
	}
	h.join()
	return true
}

// Exit lets the child exit with its files open and mapped, and waits until the kernel has closed them.
func (h *Helper) Exit(ctx context.Context, code int) error {
	h.Go(fmt.Sprintf("exit %d", code))
	if err := h.proc.waitContext(ctx); err != nil {
		return fmt.Errorf("waiting for the helper to exit: %w", err)
	}
	h.join()
	if got := h.proc.exit(); got != code {
		return fmt.Errorf("the helper ended with %s instead of %d: %s", h.proc.cmd.ProcessState, code, h.proc.stderr)
	}
	return nil
}

func (h *Helper) join() {
	<-h.read
	h.stdin.Close()
}
