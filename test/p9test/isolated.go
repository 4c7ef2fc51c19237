package p9test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// isolatedMark names, in the environment of a child of Isolated, the test that it runs.
const isolatedMark = "P9TEST_ISOLATED"

// isolatedTime is how long the child of Isolated may take if the test binary has no deadline.
const isolatedTime = 10 * time.Minute

// Isolated runs the calling top-level test again, in a child process with network and mount namespaces of its own: nothing that
// listens there can be reached from outside, and no mount survives. The network is a loopback that is up. In
// the child it returns true; in the parent it returns false when the child has ended and its result is the test's:
//
//	func TestMine(t *testing.T) {
//		if !p9test.Isolated(t) {
//			return
//		}
//		...
//	}
//
// The child is this test binary, for setns(2) of one thread of a Go process would leave the others behind. What follows the
// first slash of -run goes to it, and -v, -skip and -short do. It ends before the parent's deadline, or is killed. Without root, or
// CAP_SYS_ADMIN, the test is skipped, see the package comment.
func Isolated(t *testing.T) bool {
	t.Helper()
	if strings.Contains(t.Name(), "/") {
		t.Fatal("p9test: Isolated is for top-level tests")
	}
	if os.Getenv(isolatedMark) == t.Name() {
		if err := loopbackUp(); err != nil {
			t.Fatalf("p9test: %v", err)
		}
		if err := letGoOfMounts(); err != nil {
			t.Fatalf("p9test: %v", err)
		}
		return true
	}
	if os.Geteuid() != 0 {
		missing(t, "network and mount namespaces need root")
	}
	limit := isolatedTime
	if end, ok := t.Deadline(); ok {
		limit = time.Until(end) * 9 / 10
	}
	out, err := runIsolated(t.Name(), limit)
	switch {
	case errors.Is(err, syscall.EPERM): // it could not be started: processes end with other errors
		missing(t, "network and mount namespaces need CAP_SYS_ADMIN")
	case err != nil:
		t.Errorf("p9test: in namespaces of its own: %v; it said:\n%s", err, out)
	case strings.Contains(out, "--- SKIP: "+t.Name()+" "):
		t.Skipf("p9test: skipped in namespaces of its own:\n%s", out)
	case !strings.Contains(out, "--- PASS: "+t.Name()+" "):
		t.Errorf("p9test: the test did not run in namespaces of its own; the child said:\n%s", out)
	}
	return false
}

// runIsolated runs a test of this binary in new namespaces and returns the end of what it said. With -v it is heard at once too.
func runIsolated(name string, limit time.Duration) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("not ended after %v", limit))
	defer cancel()
	args := append(passedOn(name), "-test.v", "-test.count=1", "-test.timeout="+(limit*9/10).String())
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), isolatedMark+"="+name)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 3 * time.Second // for the goroutines that SIGQUIT prints
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:    syscall.SIGKILL, // what the child started gets SIGTERM from its end
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
	}
	kept := newOutput("")
	var w io.Writer = kept
	if testing.Verbose() {
		w = io.MultiWriter(kept, &indented{w: os.Stdout})
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return kept.String(), err
}

// passedOn are the flags by which the child runs the test and what of it the parent was asked for.
func passedOn(name string) []string {
	run := "^" + regexp.QuoteMeta(name) + "$"
	if _, rest, ok := strings.Cut(flagValue("test.run"), "/"); ok {
		run += "/" + rest
	}
	args := []string{"-test.run=" + run}
	for _, f := range []string{"test.skip", "test.short", "test.parallel"} {
		if v := flagValue(f); v != "" {
			args = append(args, "-"+f+"="+v)
		}
	}
	return args
}

func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// indented keeps what the child says at the beginning of lines from being read as the parent's own results.
type indented struct {
	w    io.Writer
	line []byte
}

func (i *indented) Write(b []byte) (int, error) {
	i.line = append(i.line, b...)
	for {
		end := bytes.IndexByte(i.line, '\n')
		if end < 0 {
			return len(b), nil
		}
		if _, err := fmt.Fprintf(i.w, "    %s\n", i.line[:end]); err != nil {
			return 0, err
		}
		i.line = i.line[end+1:]
	}
}

// loopbackUp sets the interface lo up, once in a process; with it come 127.0.0.1 and ::1.
var loopbackUp = sync.OnceValue(func() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS lo", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
})

// letGoOfMounts gives up the copies that this mount namespace has of FUSE mounts, once in a process: the daemons of tests
// that run meanwhile would wait for them.
var letGoOfMounts = sync.OnceValue(func() error {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if w := strings.Fields(line); len(w) > 2 && strings.HasPrefix(w[2], "fuse") {
			if err := unix.Unmount(w[1], unix.MNT_DETACH); err != nil && err != unix.EINVAL {
				return os.NewSyscallError("umount "+w[1], err)
			}
		}
	}
	return nil
})
