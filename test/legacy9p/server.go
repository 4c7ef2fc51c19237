package legacy9p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// DefaultMsize is what many 9P2000 servers have: 8 KiB of data and the header of Twrite, 24 bytes.
const DefaultMsize = 8192 + ioHeader

const (
	ioHeader = 24  // IOHDRSZ: what a message may hold besides the data, bytes
	minMsize = 256 // an Rwalk of 16 qids has to fit
	maxMsize = 16 << 20
)

// Options of a server. The zero value serves plain 9P2000 with DefaultMsize.
type Options struct {
	Msize     uint32 // the largest message, bytes, from 256 to 16 MiB; 0: DefaultMsize
	U         bool   // answer 9P2000.u to a client that asks for it
	ReadOnly  bool   // refuse every change
	PathBased bool   // open fids go by path, too
	NoSync    bool   // refuse the null Twstat: "wstat prohibited"
}

// A Server serves one directory. Its methods may be called from any goroutine.
type Server struct {
	tree    *tree
	options Options

	mu      sync.Mutex // guards closed, ends and running.Add
	closed  bool
	ends    map[*conn]func() // ends each connection that is served
	running sync.WaitGroup
}

// New opens dir. The errors are those of open(2), or say that msize is out of range.
func New(dir string, o Options) (*Server, error) {
	if o.Msize == 0 {
		o.Msize = DefaultMsize
	}
	if o.Msize < minMsize || o.Msize > maxMsize {
		return nil, fmt.Errorf("msize %d is not between %d and %d", o.Msize, minMsize, maxMsize)
	}
	t, err := openTree(dir, o)
	if err != nil {
		return nil, err
	}
	return &Server{tree: t, options: o, ends: map[*conn]func(){}}, nil
}

// Serve serves every connection of l, until ctx ends (then it returns nil) or l fails, and returns when they have ended.
// It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	var conns sync.WaitGroup
	defer func() {
		cancel()
		stop()
		l.Close()
		conns.Wait()
	}()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			if err == nil {
				c.Close()
			}
			return nil
		case err != nil:
			if t, ok := err.(interface{ Temporary() bool }); ok && t.Temporary() { // out of descriptors
				wait(ctx, 10*time.Millisecond)
				continue
			}
			return fmt.Errorf("accept: %w", err)
		}
		conns.Go(func() { s.ServeConn(ctx, c) })
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// ServeConn serves one connection until the client or ctx ends it, and closes it. Close must unblock Read and Write. The
// error is nil at the end of the input and at the end of ctx; else it says what the client did wrong, or what broke.
func (s *Server) ServeConn(ctx context.Context, rw io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newConn(s.tree, s.options, rw)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		rw.Close()
		return net.ErrClosed
	}
	s.ends[c] = cancel
	s.running.Add(1)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.ends, c)
		s.mu.Unlock()
		s.running.Done()
	}()
	err := c.serve(ctx)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil
	}
	return err
}

// Close ends all connections and waits for them. Listeners end with their Serve.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	for _, end := range s.ends {
		end()
	}
	s.mu.Unlock()
	s.running.Wait()
	if !first {
		return nil
	}
	return s.tree.close()
}
