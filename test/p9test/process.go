package p9test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	keptOutput = 256 << 10
	readyTime  = 30 * time.Second
	killTime   = 10 * time.Second // a killed process is gone by then, unless the kernel holds it
)

// output keeps the end of what a child says and lets others wait for a line.
type output struct {
	mu      sync.Mutex // guards everything below
	text    []byte
	lost    int
	line    []byte // the unfinished last line
	ready   string // prefix waited for
	found   string
	isFound chan struct{}
	alarms  []string
}

func newOutput(ready string) *output { return &output{ready: ready, isFound: make(chan struct{})} }

// Write takes a piece of stderr. It never fails.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	if over := len(o.text) - keptOutput; over > keptOutput {
		o.text = append(o.text[:0], o.text[over:]...)
		o.lost += over
	}
	o.line = append(o.line, b...)
	for {
		line, rest, ok := strings.Cut(string(o.line), "\n")
		if !ok {
			break
		}
		o.lineLocked(line)
		o.line = []byte(rest)
	}
	if len(o.line) > keptOutput {
		o.line = nil
	}
	return len(b), nil
}

func (o *output) lineLocked(line string) {
	if o.ready != "" && o.found == "" && strings.HasPrefix(line, o.ready) {
		o.found = line
		close(o.isFound)
	}
	for _, alarm := range []string{"DATA RACE", "panic: ", "fatal error: "} {
		if strings.Contains(line, alarm) && len(o.alarms) < 10 {
			o.alarms = append(o.alarms, line)
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost > 0 {
		return fmt.Sprintf("(%d bytes before)\n%s", o.lost, o.text)
	}
	return string(o.text)
}

func (o *output) alarmLines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.alarms
}

// process is a child.
type process struct {
	name   string
	cmd    *exec.Cmd
	stderr *output
	done   chan struct{} // closed when it has been waited for
}

// startProcess starts a child whose stderr begins a line with ready when it is (empty: do not wait).
func startProcess(t testing.TB, ready, path string, args ...string) (*process, error) {
	t.Helper()
	p, err := launch(exec.Command(path, args...), ready)
	if err != nil {
		return nil, err
	}
	if ready == "" {
		return p, nil
	}
	timer := time.NewTimer(readyTime)
	defer timer.Stop()
	select {
	case <-p.stderr.isFound:
		return p, nil
	case <-p.done:
		err = fmt.Errorf("%s ended (%s) before it was ready; it said:\n%s", p.name, p.cmd.ProcessState, p.stderr)
	case <-timer.C:
		p.signal(syscall.SIGQUIT)
		p.wait(3 * time.Second)
		err = fmt.Errorf("%s was not ready after %v; it said:\n%s", p.name, readyTime, p.stderr)
		p.kill()
	}
	return p, err
}

func launch(cmd *exec.Cmd, ready string) (*process, error) {
	p := &process{
		name:   strings.Join(cmd.Args, " "),
		cmd:    cmd,
		stderr: newOutput(ready),
		done:   make(chan struct{}),
	}
	cmd.Stderr = p.stderr
	if os.Getenv("GORACE") == "" {
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // else everything built with -race takes a second to exit
	}
	// A grandchild that keeps stderr open must not keep us; SIGTERM lets an orphaned mount unmount itself.
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) signal(sig os.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return p.cmd.Process.Signal(sig)
	}
}

// wait reports whether the process ended within d.
func (p *process) wait(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return p.waitContext(ctx) == nil
}

func (p *process) waitContext(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill sends SIGKILL and reports whether that ended the process.
func (p *process) kill() bool {
	if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false
	}
	return p.wait(killTime)
}

// running reports that the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// exit is the exit status of a process that has ended, -1 if a signal ended it.
func (p *process) exit() int { return p.cmd.ProcessState.ExitCode() }

// report fails the test for what the process must not say, and logs what it said if the test failed.
func (p *process) report(t testing.TB) {
	t.Helper()
	for _, line := range p.stderr.alarmLines() {
		t.Errorf("%s said: %s", p.name, line)
	}
	if t.Failed() {
		end := "still running"
		if !p.running() {
			end = p.cmd.ProcessState.String()
		}
		t.Logf("%s: %s; its stderr:\n%s", p.name, end, p.stderr)
	}
}
