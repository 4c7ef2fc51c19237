package p9test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"p9mapfs/test/faultproxy"
)

// Mounted is a mount that lives until the test ends.
type Mounted struct {
	Path      string            // the mount point
	Dir       string            // what the server exports
	RescueDir string            // where the daemon leaves rescue files, unless Flags say otherwise
	Server    *Server           // the server
	Proxy     *faultproxy.Proxy // nil without Through

	t    testing.TB
	conf *config
	proc *process
	once sync.Once // the end
	exit int
}

// Mount starts a server over dir, which must be absolute, mounts it, and returns when the mount is ready. Everything is
// cleaned up when the test ends. It skips the test where FUSE cannot be had, see the package comment, and fails it
// where anything else goes wrong.
func Mount(t testing.TB, dir string, opts ...Option) *Mounted {
	t.Helper()
	m, err := TryMount(t, dir, opts...)
	if err != nil {
		t.Fatalf("p9test: %v", err)
	}
	return m
}

// TryMount is Mount that returns the error if `p9mapfs mount` does not come up; the error has its words.
func TryMount(t testing.TB, dir string, opts ...Option) (*Mounted, error) {
	t.Helper()
	RequireFUSE(t)
	c := newConfig(opts)
	m := &Mounted{t: t, conf: c, Server: c.server}
	if m.Server == nil {
		m.Server = StartServer(t, dir, opts...)
	}
	m.Dir = m.Server.Dir
	addr := m.Server.Address()
	if c.proxied {
		var err error
		if m.Proxy, err = faultproxy.Start(m.Server.Network(), m.Server.Addr()); err != nil {
			return nil, err
		}
		t.Cleanup(m.Proxy.Close)
		if err := m.Proxy.Add(c.rules...); err != nil {
			return nil, err
		}
		addr = address(m.Proxy.Network(), m.Proxy.Addr())
	}
	if c.at != "" {
		addr = c.at
	}
	// Not t.TempDir: it removes recursively, and so the server's files if the mount were still there.
	path, err := os.MkdirTemp("", "p9test-mnt")
	if err != nil {
		return nil, err
	}
	m.Path = path
	m.RescueDir = t.TempDir()
	args := []string{"mount", "--rescue-dir=" + m.RescueDir}
	if a := m.Server.Aname(); a != "" {
		args = append(args, "--aname="+a)
	}
	args = append(args, c.mountFlags...)
	bin := c.bin
	if bin == "" {
		bin = Binary(t)
	}
	t.Cleanup(m.cleanup)
	m.proc, err = startProcess(t, "p9mapfs: mounted ", bin, append(args, addr, path)...)
	return m, err
}

// Pid is the daemon's process id.
func (m *Mounted) Pid() int { return m.proc.cmd.Process.Pid }

// Stderr is what the daemon has said.
func (m *Mounted) Stderr() string { return m.proc.stderr.String() }

// Signal sends the daemon a signal.
func (m *Mounted) Signal(sig syscall.Signal) {
	m.t.Helper()
	if err := m.proc.signal(sig); err != nil {
		m.t.Fatalf("p9test: %v to the daemon: %v", sig, err)
	}
}

// Wait waits until the daemon has ended and returns its exit status, -1 if a signal ended it.
func (m *Mounted) Wait(ctx context.Context) (int, error) {
	if err := m.proc.waitContext(ctx); err != nil {
		return 0, fmt.Errorf("waiting for the daemon to end: %w", err)
	}
	return m.proc.exit(), nil
}

// Unmount ends the mount as the user does, with SIGTERM, and returns the daemon's exit status; see AllowExit. The test
// fails if the daemon does not end in time (ExitTime) or leaves the mount behind.
// Neither proxy nor server are healed first. Further calls return the same.
func (m *Mounted) Unmount() int {
	m.t.Helper()
	m.once.Do(func() { m.exit = m.end() })
	return m.exit
}

func (m *Mounted) cleanup() {
	if m.Proxy != nil {
		if err := m.Proxy.Heal(); err != nil {
			m.t.Errorf("p9test: %v", err)
		}
	}
	if p := m.Server.current(); p != nil {
		p.signal(syscall.SIGCONT)
	}
	m.Unmount()
	if m.t.Failed() && m.Proxy != nil {
		m.t.Logf("fault proxy:\n%s", strings.Join(m.Proxy.Log(), "\n"))
	}
}

func (m *Mounted) end() int {
	m.t.Helper()
	status := -1
	if p := m.proc; p != nil {
		p.signal(syscall.SIGTERM)
		if p.wait(m.conf.exitTime) {
			status = p.exit()
			if !slices.Contains(m.conf.exits, status) && !m.t.Failed() {
				m.t.Errorf("p9test: the daemon ended with %s, allowed are %v", p.cmd.ProcessState, m.conf.exits)
			}
		} else {
			m.t.Errorf("p9test: the daemon did not end within %v of SIGTERM; its goroutines are in its stderr", m.conf.exitTime)
			m.force()
		}
	}
	if minor, mounted, err := mountMinor(m.Path); err != nil {
		m.t.Errorf("p9test: %v", err)
	} else if mounted {
		m.t.Errorf("p9test: the daemon has ended and left %s mounted", m.Path)
		if err := abortMount(m.Path, minor); err != nil {
			m.t.Errorf("p9test: %v", err)
		}
	}
	if err := os.Remove(m.Path); err != nil {
		m.t.Errorf("p9test: %v", err)
	}
	if m.proc != nil {
		m.proc.report(m.t)
	}
	return status
}

// force ends a daemon that does not want to.
func (m *Mounted) force() {
	p := m.proc
	p.signal(syscall.SIGQUIT)
	p.wait(3 * time.Second)
	if minor, mounted, err := mountMinor(m.Path); err == nil && mounted {
		if err := abortMount(m.Path, minor); err != nil {
			m.t.Errorf("p9test: %v", err)
		}
	}
	if !p.kill() {
		m.t.Errorf("p9test: %s survives SIGKILL", p.name)
	}
}
