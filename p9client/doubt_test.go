package p9client

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How a connection is lost under a request.
var losses = []struct {
	name   string
	obeyed bool
	lose   func(p *peer, m msg)
}{
	{"before the server saw it", false, func(p *peer, m msg) { p.nc.Close() }},
	{"after the server obeyed", true, func(p *peer, m msg) { p.answer(deaf{p.nc}, m); p.nc.Close() }},
	{"in the middle of the reply", true, func(p *peer, m msg) { p.answer(half{p.nc}, m); p.nc.Close() }},
}

// answer obeys, with the reply going to nc.
func (p *peer) answer(nc net.Conn, m msg) {
	old := p.nc
	p.nc = nc
	p.obey(m)
	p.nc = old
}

// half is a connection on which half of each message is sent.
type half struct{ net.Conn }

func (h half) Write(p []byte) (int, error) { return h.Conn.Write(p[:len(p)/2]) }

// A verb is a request that changes the tree, on a server that has the file f, the
// directory d, and no "new".
type verb struct {
	name    string
	typ     uint8
	call    func(x *Session) error
	did     func(s *server) bool
	outcome error // when it was obeyed and the reply was lost
	lacks   uint8 // what the server does not know
}

func verbs() []verb {
	there := func(s *server) bool { return s.root.kids["new"] != nil }
	gone := func(name string) func(s *server) bool {
		return func(s *server) bool { return s.root.kids[name] == nil }
	}
	moved := func(s *server) bool { return there(s) && gone("f")(s) }
	create := func(flags uint32) func(x *Session) error {
		return func(x *Session) error {
			f, err := x.Root().Create(x.ctx, "new", flags, 0600, 0)
			if err == nil {
				err = isItself(x.ctx, f)
				f.Clunk()
			}
			return err
		}
	}
	mkdir := func(x *Session) error { _, err := x.Root().Mkdir(x.ctx, "new", 0755, 0); return err }
	symlink := func(x *Session) error { _, err := x.Root().Symlink(x.ctx, "new", "f", 0); return err }
	mknod := func(x *Session) error { _, err := x.Root().Mknod(x.ctx, "new", syscall.S_IFIFO, 0, 0, 0); return err }
	unlink := func(x *Session) error { return x.Root().Unlink(x.ctx, "f", 0) }
	rmdir := func(x *Session) error { return x.Root().Unlink(x.ctx, "d", 0x200) }
	rename := func(x *Session) error { return x.Root().Rename(x.ctx, "f", x.Root(), "new") }
	link := func(x *Session) error {
		f, err := x.Root().Walk(x.ctx, "f")
		if err != nil {
			return err
		}
		defer f.Clunk()
		return x.Root().Link(x.ctx, f, "new")
	}
	return []verb{
		{"mkdir", tmkdir, mkdir, there, syscall.EIO, 0},
		{"symlink", tsymlink, symlink, there, syscall.EIO, 0},
		{"mknod", tmknod, mknod, there, syscall.EIO, 0},
		{"create", tlcreate, create(syscall.O_RDWR), there, nil, 0},
		{"create excl", tlcreate, create(syscall.O_RDWR | syscall.O_EXCL), there, syscall.EIO, 0},
		{"link", tlink, link, there, nil, 0},
		{"unlink", tunlinkat, unlink, gone("f"), nil, 0},
		{"rmdir", tunlinkat, rmdir, gone("d"), nil, 0},
		{"remove", tremove, unlink, gone("f"), nil, tunlinkat},
		{"rename", trenameat, rename, moved, nil, 0},
		{"rename of old servers", trename, rename, moved, nil, trenameat},
	}
}

// start makes the server and the session for a verb. hook sees the verb's
// requests, and how many there were before.
func (v verb) start(t *testing.T, hook func(s *server, p *peer, m msg, before int) (done bool)) (*server, *Session) {
	s := startServer(t)
	s.add("f", 0, "")
	s.add("d", QTDIR, "")
	x := s.dial(Options{})
	for _, name := range []string{"f", "d"} { // for unlink: the qid is known
		f, err := x.Root().Walk(t.Context(), name)
		check(t, err)
		t.Cleanup(f.Clunk)
	}
	s.setHook(func(p *peer, m msg) bool {
		switch m.typ {
		case v.typ:
			return hook(s, p, m, s.sums[m.typ]-1)
		case v.lacks:
			p.fail(m, syscall.EOPNOTSUPP)
			return true
		}
		return false
	})
	return s, x
}

// judge checks what the caller was told.
func wantFate(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == syscall.EIO && !strings.Contains(err.Error(), "ambiguous") {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// Whatever the moment of the loss, a request is obeyed once, and the caller is
// told so, or that it cannot be known.
func TestRequestsInDoubt(t *testing.T) {
	for _, v := range verbs() {
		for _, loss := range losses {
			t.Run(v.name+", lost "+loss.name, func(t *testing.T) {
				s, x := v.start(t, func(s *server, p *peer, m msg, before int) bool {
					if before == 0 {
						loss.lose(p, m)
					}
					return before == 0
				})
				outcome, sent := v.outcome, 1
				if !loss.obeyed {
					outcome, sent = nil, 2
				} else if v.name == "create" {
					sent = 2 // creating what exists opens it
				}
				wantFate(t, "told", v.call(x), outcome)
				if n := s.count(v.typ); n != sent {
					t.Errorf("sent %d times, want %d", n, sent)
				}
				s.others(func() {
					if !v.did(s) {
						t.Error("not done")
					}
				})
			})
		}
	}
}

// What others do to the names meanwhile is not taken for the request's deed.
func TestRequestsInDoubtAndOtherClients(t *testing.T) {
	intrude := func(name string) func(s *server) {
		return func(s *server) { s.root.kids[name] = s.newNode(0) }
	}
	anotherTree := func(s *server) {
		s.root = s.newNode(QTDIR)
	}
	for _, test := range []struct {
		name, verb string
		loss       int
		other      func(s *server)
	}{
		{"made again", "unlink", 1, intrude("f")},
		{"another tree", "unlink", 0, anotherTree},
		{"another tree", "mkdir", 0, anotherTree},
		{"another tree", "create", 0, anotherTree},
		{"source removed", "rename", 0, func(s *server) { delete(s.root.kids, "f") }},
		{"replaced", "rename", 1, intrude("new")},
		{"source made again", "rename", 1, intrude("f")},
		{"name taken", "link", 0, intrude("new")},
		{"name taken", "mkdir", 0, intrude("new")},
		{"name taken", "create excl", 0, intrude("new")},
	} {
		for _, v := range verbs() {
			if v.name != test.verb {
				continue
			}
			t.Run(v.name+", "+test.name, func(t *testing.T) {
				s, x := v.start(t, func(s *server, p *peer, m msg, before int) bool {
					if before == 0 {
						losses[test.loss].lose(p, m)
						test.other(s)
					}
					return before == 0
				})
				wantFate(t, "told", v.call(x), syscall.EIO)
				if n := s.count(v.typ); n != 1 {
					t.Errorf("sent %d times", n)
				}
			})
		}
	}
}

// The link goes on flapping: looks are lost too, and the request once more.
func TestRequestsInDoubtOnAFlappingLink(t *testing.T) {
	for _, v := range verbs() {
		for _, loss := range losses {
			t.Run(v.name+", lost "+loss.name, func(t *testing.T) {
				cuts := 0
				s, x := v.start(t, func(s *server, p *peer, m msg, before int) bool {
					if before == 0 || !loss.obeyed && before == 1 {
						loss.lose(p, m)
						cuts = 3
						return true
					}
					return false
				})
				next := s.hook
				s.setHook(func(p *peer, m msg) bool {
					if cuts > 0 && m.typ == twalk { // each connection ends with its look
						cuts--
						p.nc.Close()
						return true
					}
					return next(p, m)
				})
				outcome := v.outcome
				if !loss.obeyed {
					outcome = nil
				}
				wantFate(t, "told", v.call(x), outcome)
				s.others(func() {
					if cuts > 0 || !v.did(s) {
						t.Error("done:", v.did(s), "cuts left:", cuts)
					}
				})
			})
		}
	}
}

// A server obeys what it had in its buffers only after the look has found nothing
// done. The answer to the second request, that the name is there or is not there
// any more, is not taken at its word.
func TestRequestsThatAreObeyedLate(t *testing.T) {
	for _, v := range verbs() {
		t.Run(v.name, func(t *testing.T) {
			var late func()
			s, x := v.start(t, func(s *server, p *peer, m msg, before int) bool {
				if before == 0 {
					p.nc.Close()
					late = func() { p.answer(deaf{p.nc}, m) }
					return true
				}
				if late != nil && v.lacks == 0 {
					late()
					late = nil
				}
				return false
			})
			if v.lacks != 0 { // before the walk that goes with the second request
				looks := 0
				next := s.hook
				s.setHook(func(p *peer, m msg) bool {
					if m.typ == v.lacks && late != nil {
						if looks++; looks == 1 {
							late()
						}
					}
					return next(p, m)
				})
			}
			wantFate(t, "told", v.call(x), v.outcome)
			s.others(func() {
				if !v.did(s) {
					t.Error("not done")
				}
			})
		})
	}
}

// A request under which the server ends every connection ends too, for each verb,
// and so does one whose preparations do.
func TestPoisonousChangesEnd(t *testing.T) {
	for _, v := range verbs() {
		t.Run(v.name, func(t *testing.T) {
			_, x := v.start(t, func(s *server, p *peer, m msg, before int) bool { p.nc.Close(); return true })
			done := make(chan error, 1)
			go func() { done <- v.call(x) }()
			if err := within(t, 30*time.Second, done); !disconnected(err) {
				t.Error(err)
			}
		})
	}
	t.Run("walk before a link", func(t *testing.T) {
		s := startServer(t)
		s.add("f", 0, "")
		x := s.dial(Options{})
		f := open(t, x, syscall.O_RDONLY, "f")
		s.setHook(func(p *peer, m msg) bool {
			if m.typ == twalk && strings.HasSuffix(string(m.body), "new") {
				p.nc.Close()
				return true
			}
			return false
		})
		done := make(chan error, 1)
		go func() { done <- x.Root().Link(t.Context(), f, "new") }()
		if err := within(t, 30*time.Second, done); !disconnected(err) {
			t.Error(err)
		}
	})
}
