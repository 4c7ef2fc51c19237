package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// Options of an export. The zero value serves read-write and logs nothing.
type Options struct {
	ReadOnly bool         // every verb that would change something is EROFS
	Log      *slog.Logger // what was odd about connections; nil: nothing
}

// A Server serves one directory to any number of connections. Each connection
// has a core of its own: they share nothing but the host's file system.
type Server struct {
	o       Options
	dir     string
	log     *slog.Logger
	asRoot  bool // may give files away
	paths   *paths
	root    *node
	linger  time.Duration // lingerTime
	maxFids int32
	users   atomic.Int32 // of mountFD: the cores, and the server until Close

	mu     sync.Mutex // closed, conns, listeners, and wg.Add
	closed bool
	conns  map[*conn]struct{}
	lns    map[net.Listener]struct{}
	wg     sync.WaitGroup // connections and accept loops
}

// ErrClosed is returned by Serve and ServeConn after Close.
var ErrClosed = errors.New("export: server closed")

// New opens dir, which must be a directory (a symlink to one is followed here,
// and only here), and returns a server for it. /proc must be mounted.
func New(dir string, o Options) (*Server, error) {
	fail := func(err error) error { return fmt.Errorf("export %s: %w", dir, err) }
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fail(err)
	}
	s, err := stat(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fail(err)
	}
	var viaProc unix.Stat_t
	if err := unix.Stat(procPath(fd), &viaProc); err != nil || viaProc.Ino != s.Ino {
		unix.Close(fd)
		return nil, fail(errors.New("/proc is not mounted or not ours; files cannot be opened safely without it"))
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &paths{mountFD: -1, rootDev: device(&s), max: pathLimit()}
	if m, err := unix.Open(procPath(fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		p.mountFD = m
	}
	server := &Server{
		o: o, dir: dir, log: log, asRoot: os.Geteuid() == 0,
		paths: p, root: p.node(fd, &s, nil, ""), linger: lingerTime, maxFids: maxFids,
		conns: map[*conn]struct{}{}, lns: map[net.Listener]struct{}{},
	}
	server.users.Store(1)
	return server, nil
}

// pathLimit leaves half of the descriptors to open files and connections.
func pathLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<20 {
		return 1 << 19
	}
	return int(max(r.Cur/2, 32))
}

func (s *Server) rootDev() uint64 { return s.paths.rootDev }

// Attach returns the directory itself as a File that is not behind a connection.
func (s *Server) Attach() (p9.File, error) {
	s.root.share()
	return &File{srv: s, node: s.root, owner: uint32(p9.NoUID)}, nil
}

// Serve accepts connections until ctx is done, l is closed or the server is,
// and returns when all that it accepted have ended. When ctx is done, l and they
// are closed; when only l was closed they end by themselves. That l is closed is
// no error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !s.enter(func() { s.lns[l] = struct{}{} }) {
		l.Close()
		return ErrClosed
	}
	defer s.wg.Done()
	defer s.leave(func() { delete(s.lns, l) })

	var conns sync.WaitGroup
	defer conns.Wait()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { l.Close(); close(closed) })
	defer func() {
		if !stop() {
			<-closed
		}
	}()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			conns.Go(func() {
				if err := s.ServeConn(ctx, c); err != nil && !errors.Is(err, ErrClosed) {
					s.log.Warn("connection ended", "peer", c.RemoteAddr(), "err", err)
				}
			})
		case errors.Is(err, net.ErrClosed):
			return nil
		case isTransient(err):
			s.log.Warn("accept", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		default:
			cancel()
			return fmt.Errorf("export %s: accept: %w", s.dir, err)
		}
	}
}

// acceptPause is the wait for descriptors to become free.
const acceptPause = 50 * time.Millisecond

func isTransient(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// ServeConn serves one connection, whatever it is made of, until its end, until
// it breaks the protocol, until ctx is done or the server is closed; then it
// closes rw. It returns nil at the end, and otherwise why. Requests that were read
// before are answered first, if that takes no longer than 10 s; what the host's
// file system holds for longer is left behind. For ctx to work, Close of rw must
// end a Read of it (as with sockets and pipes).
func (s *Server) ServeConn(ctx context.Context, rw io.ReadWriteCloser) error {
	c := newConn(s, rw)
	if !s.enter(func() { s.conns[c] = struct{}{} }) {
		rw.Close()
		return ErrClosed
	}
	defer s.wg.Done()
	defer s.leave(func() { delete(s.conns, c) })
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { c.end(ctx.Err()); close(killed) })
	defer func() {
		if !stop() {
			<-killed
		}
	}()
	return c.serve()
}

// enter counts one who must be waited for, unless the server is closed.
func (s *Server) enter(record func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	record()
	s.wg.Add(1)
	return true
}

func (s *Server) leave(forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	forget()
}

// Close ends all connections and listeners, waits for them, 10 s at most, and lets
// go of the directory. A second call does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for l := range s.lns {
		l.Close()
	}
	for c := range s.conns {
		c.end(ErrClosed)
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.root.drop()
	s.used()
	return nil
}

// used closes mountFD behind its last user.
func (s *Server) used() {
	if s.users.Add(-1) == 0 && s.paths.mountFD >= 0 {
		unix.Close(s.paths.mountFD)
	}
}
