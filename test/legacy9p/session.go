package legacy9p

import (
	"context"
	"errors"
	"io"
	"sync"

	"9fans.net/go/plan9"
	"9fans.net/go/plan9/srv9p"
)

// session is what happens between a Tversion and the next: the fids of one srv9p.Server. It is the input and the output of
// srv9p, which believes it reads and writes a connection.
type session struct {
	*tree
	conn  *conn
	ctx   context.Context
	msize uint32
	u     *dialectU // nil: plain 9P2000

	// Only the reader uses these.
	unread []byte // of the message that srv9p is reading
	next   []byte // the Tversion that ended the session
	err    error  // what ended it else

	mu      sync.Mutex // guards everything below
	change  sync.Cond
	running int            // requests inside of this package
	ended   bool           // no more may enter
	open    map[*file]bool // fids that hold something
}

var errEnded = errors.New("connection closed")

func newSession(ctx context.Context, c *conn, msize uint32, u bool) *session {
	s := &session{tree: c.tree, conn: c, ctx: ctx, msize: msize, open: map[*file]bool{}}
	s.change.L = &s.mu
	if u {
		s.u = newDialectU(msize)
	}
	return s
}

// serve returns the Tversion that begins the next session, or why there is none.
func (s *session) serve() ([]byte, error) {
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(s.ctx)
	defer cancel()
	v := s.verbs()
	v.Msize = s.msize
	if s.u != nil {
		v.Msize += smuggle
	}
	v.Serve(s, s)
	cancel()
	s.end()
	if s.next != nil {
		return s.next, nil
	}
	if s.err == nil {
		s.err = plan9.ProtocolError("malformed message")
	}
	return nil, s.err
}

// verbs are the requests that srv9p does not answer by itself.
func (s *session) verbs() *srv9p.Server {
	return &srv9p.Server{
		Auth:   s.auth,
		Attach: s.attach,
		Walk:   s.walk,
		Open:   s.openFid,
		Create: s.create,
		Read:   s.read,
		Write:  s.write,
		Remove: s.remove,
		Stat:   s.stat,
		Wstat:  s.wstat,
		Sync:   s.sync,
		Clunk:  func(fid *srv9p.Fid) { s.clunk(fid) },
	}
}

// Read gives srv9p the requests, and io.EOF where the session ends.
func (s *session) Read(b []byte) (int, error) {
	for len(s.unread) == 0 {
		if s.err != nil || s.next != nil {
			return 0, io.EOF
		}
		if s.unread, s.err = s.request(); s.err != nil {
			return 0, io.EOF
		}
	}
	n := copy(b, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// request returns the next message as srv9p understands it. It is empty if a Tversion came, or one that was answered.
func (s *session) request() ([]byte, error) {
	if s.u != nil {
		if m, err := s.u.resumed(); m != nil || err != nil {
			return m, err
		}
	}
	m, err := s.conn.read(s.msize)
	switch {
	case err != nil:
		return nil, err
	case m[4] == plan9.Tversion:
		s.next = m
		return nil, nil
	case s.u != nil:
		return s.u.request(m)
	}
	return m, nil
}

// Write takes a reply from srv9p.
func (s *session) Write(m []byte) (int, error) {
	n := len(m)
	if m[4] == plan9.Rerror {
		m = plan9Words(m)
	}
	if s.u != nil {
		if m = s.u.reply(m); m == nil {
			return n, nil
		}
	}
	if s.enter() == nil { // else it would follow the Rversion of the next session
		s.conn.out.add(m)
		s.leave()
	}
	return n, nil
}

// Close is for srv9p, which never calls it: the connection closes its own ends.
func (s *session) Close() error { return nil }

// enter begins a request; leave ends it.
func (s *session) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errEnded
	}
	s.running++
	return nil
}

func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		s.change.Broadcast()
	}
}

// end waits for the requests that run, srv9p does not, and releases what the fids hold.
func (s *session) end() {
	s.mu.Lock()
	s.ended = true
	for s.running > 0 {
		s.change.Wait()
	}
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for f := range open {
		f.release()
	}
}

// hold notes that f has something to release when the session ends.
func (s *session) hold(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[f] = true // enter has kept it from ending
}

func (s *session) clunk(fid *srv9p.Fid) {
	f, ok := fid.Aux().(*file)
	if !ok {
		return
	}
	s.mu.Lock()
	held := s.open[f]
	delete(s.open, f)
	if held {
		s.running++
	}
	s.mu.Unlock()
	if held {
		f.release()
		s.leave()
	}
}
