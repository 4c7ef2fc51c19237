package p9test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"p9mapfs/test/faultproxy/loopback"
)

// Server is a 9P server over a directory, a child process. It can be killed and started again on
// the same address. Its methods may be called from any goroutine.
type Server struct {
	Dir  string
	Kind Kind

	t          testing.TB
	serveFlags []string
	bin        string         // empty: Binary
	port       *loopback.Port // of TCP servers
	cwd        string         // of diod, which lifts its core limit and may crash as it ends, and of ganesha with all its state
	socket     string         // of others

	mu   sync.Mutex // guards proc; held while starting
	proc *process   // nil before the first start
	old  []*process // killed ones, for their stderr
}

// StartServer exports dir, which must be absolute, until the test ends. Options of mounts are ignored. Without their programs
// Diod and Ganesha skip the test.
func StartServer(t testing.TB, dir string, opts ...Option) *Server {
	t.Helper()
	c := newConfig(opts)
	s := &Server{Dir: dir, Kind: c.kind, t: t, serveFlags: c.serveFlags, bin: c.bin}
	if c.kind == Diod || c.kind == Ganesha || c.tcp {
		port, err := loopback.Reserve()
		if err != nil {
			t.Fatalf("p9test: %v", err)
		}
		t.Cleanup(port.Close)
		s.port = port
	} else {
		s.socket = filepath.Join(shortTempDir(t), "9p")
	}
	if c.kind == Diod || c.kind == Ganesha {
		s.cwd = shortTempDir(t)
	}
	t.Cleanup(s.cleanup)
	s.Start()
	return s
}

// shortTempDir is t.TempDir with a name that leaves room in the 108 bytes of a unix socket's address.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p9t")
	if err != nil {
		t.Fatalf("p9test: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Start starts the server, again after Kill, on the address it always had, and waits until it takes connections.
// The test fails if it does not.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		if s.proc.running() {
			return
		}
		s.old = append(s.old, s.proc)
	}
	var err error
	switch s.Kind {
	case Diod:
		s.proc, err = s.startDiod()
	case Ganesha:
		s.proc, err = s.startGanesha()
	default:
		if s.socket != "" {
			os.Remove(s.socket) // a killed server leaves it
		}
		ready, bin, args := s.command()
		args = append(append(args, s.serveFlags...), s.Dir, s.Address())
		s.proc, err = startProcess(s.t, ready, bin, args...)
	}
	if err != nil {
		s.t.Fatalf("p9test: %s server: %v", s.Kind, err)
	}
}

// command is how a server that listens on s.Address is started, and what it says when it does.
func (s *Server) command() (ready, bin string, args []string) {
	s.t.Helper()
	if flags, ok := s.Kind.legacyFlags(); ok {
		return "legacy9p: serving ", legacy9pBinary.get(s.t), flags
	}
	if s.Kind == Forgetful {
		return forgetfulReady, forgetfulBinary.get(s.t), nil
	}
	bin = s.bin
	if bin == "" {
		bin = Binary(s.t)
	}
	return "p9mapfs: serving ", bin, []string{"serve"}
}

func (s *Server) startDiod() (*process, error) {
	path, err := exec.LookPath("diod")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/diod"); err != nil {
			missing(s.t, "diod is not installed (Debian package diod)")
		}
	}
	// Like systemd, without SIGPIPE: it dies from that when a client is gone before its reply.
	cmd := exec.Command("/bin/sh", "-c", `trap "" PIPE; exec "$0" "$@"`, path, "-f", "-n", "-l", s.port.String(), "-e", s.Dir, "-L", "stderr")
	cmd.Dir = s.cwd
	p, err := launch(cmd, "")
	if err != nil {
		return nil, err
	}
	return p, s.awaitListener(p)
}

// awaitListener waits until p takes connections on the server's port, and kills it if it does not.
func (s *Server) awaitListener(p *process) error {
	for deadline := time.Now().Add(readyTime); ; {
		c, err := net.DialTimeout("tcp", s.port.String(), time.Second)
		if err == nil {
			c.Close()
			return nil
		}
		if p.wait(5*time.Millisecond) || time.Now().After(deadline) {
			p.kill()
			return fmt.Errorf("not listening: %w; it said:\n%s", err, p.stderr)
		}
	}
}

// Network and Addr are what net.Dial takes.
func (s *Server) Network() string {
	if s.port != nil {
		return "tcp"
	}
	return "unix"
}

// Addr is host:port, or the path of a socket.
func (s *Server) Addr() string {
	if s.port != nil {
		return s.port.String()
	}
	return s.socket
}

// Address is what p9mapfs takes: tcp!host!port or unix!/path.
func (s *Server) Address() string { return address(s.Network(), s.Addr()) }

func address(network, addr string) string {
	if network == "tcp" {
		addr = strings.Replace(addr, ":", "!", 1)
	}
	return network + "!" + addr
}

// Aname is what the mount must attach to: diod wants the directory, ganesha its export's Tag.
func (s *Server) Aname() string {
	switch s.Kind {
	case Diod:
		return s.Dir
	case Ganesha:
		return ganeshaTag
	}
	return ""
}

// Kill ends the server with SIGKILL, as a crash, and waits until it is gone.
func (s *Server) Kill() {
	s.t.Helper()
	if p := s.current(); !p.kill() {
		s.t.Fatalf("p9test: %s survives SIGKILL", p.name)
	}
}

// Pause stops the server with SIGSTOP: connections stay open and nothing is answered. It returns when every thread
// has stopped.
func (s *Server) Pause() {
	s.t.Helper()
	s.send(syscall.SIGSTOP)
	for deadline := time.Now().Add(killTime); !stopped(s.Pid()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("p9test: %s goes on after SIGSTOP", s.current().name)
		}
	}
}

// stopped reports whether all threads of a process are in state T (proc_pid_stat(5)), or gone.
func stopped(pid int) bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if _, state, ok := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " "); !ok || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Continue ends Pause.
func (s *Server) Continue() { s.send(syscall.SIGCONT) }

// Pid is the process id of the server as last started.
func (s *Server) Pid() int { return s.current().cmd.Process.Pid }

// Stderr is what the server, as last started, has said.
func (s *Server) Stderr() string { return s.current().stderr.String() }

func (s *Server) send(sig syscall.Signal) {
	s.t.Helper()
	if err := s.current().signal(sig); err != nil {
		s.t.Fatalf("p9test: %v to the server: %v", sig, err)
	}
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) cleanup() {
	p := s.current()
	if p == nil {
		return
	}
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	if !p.wait(killTime) {
		s.t.Errorf("p9test: %s ignores SIGTERM", p.name)
		p.signal(syscall.SIGQUIT)
		p.wait(2 * time.Second)
		p.kill()
	}
	for _, q := range append(s.old, p) {
		q.report(s.t)
	}
}
