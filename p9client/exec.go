package p9client

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kballard/go-shellquote"
	"golang.org/x/sys/unix"
)

// execGrace is how long a command may take to end after its connection was
// closed, and again after SIGTERM.
const execGrace = 500 * time.Millisecond

// An execConn is a connection to a command that speaks 9P on its standard input
// and output. Close does not wait; join does, until the command and whatever else
// is in its process group are gone.
type execConn struct {
	*net.UnixConn // our end of its standard input and output
	cmd           *exec.Cmd
	said          *saidLog
	hangUp        func()        // once
	hung          chan struct{} // closed by Close
	gone          chan struct{} // closed when the command was waited for
}

// dialExec starts a command. It leads a session of its own: signals from our
// terminal do not meet it, and it cannot ask for a password there.
func dialExec(line string, log *slog.Logger) (net.Conn, error) {
	words, err := shellquote.Split(line)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("there is no command")
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := &execConn{
		UnixConn: ours, cmd: exec.Command(words[0], words[1:]...), said: &saidLog{log: log, command: words[0]},
		hung: make(chan struct{}), gone: make(chan struct{}),
	}
	c.hangUp = sync.OnceFunc(func() { close(c.hung) })
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs, theirs, c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.cmd.WaitDelay = execGrace // for a grandchild that keeps stderr open
	if err := c.cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	go c.attend()
	return c, nil
}

// socketPair returns two ends of a stream, theirs as a command expects it:
// reads and writes there wait.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "socketpair")
	f := os.NewFile(uintptr(fds[0]), "socketpair")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return nc.(*net.UnixConn), theirs, nil
}

func (c *execConn) Close() error {
	err := c.UnixConn.Close()
	c.hangUp()
	return err
}

func (c *execConn) join() { <-c.gone }

// attend ends the command after Close: by the end of its input, by SIGTERM, by
// SIGKILL. A zombie keeps the number of the process group ours until the last
// kill.
func (c *execConn) attend() {
	defer close(c.gone)
	<-c.hung
	pid := c.cmd.Process.Pid
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		awaitExit(pid)
	}()
	if !closedWithin(exited, execGrace) {
		unix.Kill(-pid, unix.SIGTERM)
		closedWithin(exited, execGrace)
	}
	unix.Kill(-pid, unix.SIGKILL)
	<-exited
	c.cmd.Wait() // its error is in ProcessState
	c.said.end()
}

// awaitExit waits until a child has ended, and leaves it to be waited for.
func awaitExit(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

func closedWithin(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}

// explain adds how the command ended, if that is what ended the connection, and
// its last words.
func (c *execConn) explain(err error) error {
	var how []string
	if cut(err) {
		how = append(how, fmt.Sprintf("the command ended, %v", c.cmd.ProcessState))
	}
	if words := c.said.lastWords(); words != "" {
		how = append(how, fmt.Sprintf("it said %q", words))
	}
	if len(how) == 0 {
		return err
	}
	return fmt.Errorf("%s (%w)", strings.Join(how, "; "), err)
}

// cut tells whether err is what comes of a connection that the other side ended.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
