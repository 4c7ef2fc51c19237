package forgetful

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"

	"p9mapfs/export"
)

// Options of a server.
type Options struct {
	SyncFails   []int       // numbers of Tfsyncs, from 1, that lose what they were to sync
	SyncErrno   linux.Errno // their answer; zero: EIO
	CrashInSync []int       // numbers of Tfsyncs that crash halfway
	Syncs       int         // Tfsyncs before the last crash
	// Crash ends the program's life after so many Tfsyncs; it must not return.
	Crash func(syncs int)
}

// A Server serves one directory until the program ends.
type Server struct {
	o    Options
	tree *export.Server

	mu     sync.Mutex // guards everything below
	syncs  int
	images map[uint64]*image // by qid.path
}

// New returns a server over dir, with the errors of export.New.
func New(dir string, o Options) (*Server, error) {
	tree, err := export.New(dir, export.Options{})
	if err != nil {
		return nil, err
	}
	if o.SyncErrno == 0 {
		o.SyncErrno = linux.EIO
	}
	return &Server{o: o, tree: tree, syncs: o.Syncs, images: map[uint64]*image{}}, nil
}

// Crash ends the program's life now.
func (s *Server) Crash() {
	s.mu.Lock()
	n := s.syncs
	s.mu.Unlock()
	s.o.Crash(n)
}

// Serve accepts connections until l fails.
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		core := p9.NewServer(s, p9.WithServerLogger(panics{}))
		go core.Handle(conn{c}, conn{c})
	}
}

// Attach returns the root of the tree.
func (s *Server) Attach() (p9.File, error) {
	root, err := s.tree.Attach()
	if err != nil {
		return nil, err
	}
	return &file{File: root, srv: s}, nil
}

// image is that of a regular file, made when first asked for, with a descriptor of its own.
func (s *Server) image(f *file) (*image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.images[f.path]; m != nil {
		return m, nil
	}
	d, err := newHostFile(f.File)
	if err != nil {
		return nil, err
	}
	m := &image{disk: d}
	s.images[f.path] = m
	return m, nil
}

// known is a file's image, nil if it was never changed.
func (s *Server) known(f *file) *image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[f.path]
}

// sync serves a Tfsync of a file that was changed, or of another one if m is nil.
func (s *Server) sync(m *image) error {
	s.mu.Lock()
	s.syncs++
	n := s.syncs
	s.mu.Unlock()
	crash := slices.Contains(s.o.CrashInSync, n)
	switch {
	case m == nil && crash:
		s.Crash()
	case m == nil:
	case slices.Contains(s.o.SyncFails, n):
		m.forget()
		return s.o.SyncErrno
	default:
		return m.sync(func() {
			if crash {
				s.Crash()
			}
		})
	}
	return nil
}

// conn is a connection whose end the core is never told; see the package comment.
type conn struct{ net.Conn }

func (c conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.Conn.Close()
		select {}
	}
	return n, nil
}

// panics takes the core's log, which is a line for every message, and passes on what a request broke.
type panics struct{}

func (panics) Print(...any) {}

func (panics) Printf(format string, v ...any) {
	if strings.HasPrefix(format, "panic") {
		fmt.Fprintf(os.Stderr, "panic: "+format+"\n", v...)
	}
}
