package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds the start and the end of a child.
const patience = 20 * time.Second

// A child is a program that runs until it is stopped.
type child struct {
	cmd    *exec.Cmd
	ready  chan struct{} // closed at the line that was waited for
	done   chan struct{} // closed when it has ended
	stderr *tail
}

// start starts a program. ready is how a line on stderr begins that is to be waited for; "" is not waited for.
func start(ctx context.Context, cmd *exec.Cmd, ready string) (*child, error) {
	c := &child{cmd: cmd, ready: make(chan struct{}), done: make(chan struct{}), stderr: &tail{}}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(pipe)
		waiting := ready != ""
		for lines.Scan() {
			c.stderr.add(lines.Text())
			if waiting && strings.HasPrefix(lines.Text(), ready) {
				waiting = false
				close(c.ready)
			}
		}
		_, _ = io.Copy(io.Discard, pipe) // a line too long to scan
		_ = cmd.Wait()
	}()
	if ready == "" {
		return c, nil
	}
	select {
	case <-c.ready:
		return c, nil
	case <-c.done:
		err = errors.New("it ended")
	case <-time.After(patience):
		err = fmt.Errorf("not ready after %v", patience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.stop()
	return nil, fmt.Errorf("%s: %w; it said:\n%s", cmd, err, c.stderr)
}

// stop ends the child and waits for it.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// cpu returns the user and system time that the child has used.
func (c *child) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // from the third field on
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", c.cmd.Process.Pid, b)
	}
	ticks := 0
	for _, x := range f[11:13] { // utime and stime
		n, err := strconv.Atoi(string(x))
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil // USER_HZ
}

// A tail keeps the last lines of what a child said.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 20 {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, line)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
