package p9client

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// renameUnderWay has a client rename d to e, with the file d/f, up to the moment
// when the server has obeyed but not answered. The fid of f has no number.
func renameUnderWay(t *testing.T, o Options) (s *server, x *Session, f *Fid, finish func()) {
	s = startServer(t)
	d := s.add("d", QTDIR, "")
	d.kids["f"] = s.newNode(0)
	x = s.dial(o)
	f, err := x.Root().Walk(t.Context(), "d", "f")
	check(t, err)
	t.Cleanup(f.Clunk)
	s.cut()
	eventually(t, "connected again", func() bool { return x.Link().Up && x.Link().Generation == 2 })
	answer := make(chan func(), 1)
	s.once(trenameat, func(p *peer, m msg) {
		p.answer(deaf{p.nc}, m)
		answer <- func() { p.reply(m) }
	})
	renamed := make(chan error, 1)
	go func() { renamed <- x.Root().Rename(t.Context(), "d", x.Root(), "e") }()
	eventually(t, "the server has renamed", func() bool { return len(answer) == 1 })
	return s, x, f, func() {
		s.others(<-answer)
		check(t, within(t, 10*time.Second, renamed))
	}
}

// A fid that is not found because the session is just renaming what is above it
// is not stale.
func TestFidsFollowARenameUnderWay(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(x *Session, f *Fid) error
	}{
		{"getattr", func(x *Session, f *Fid) error { return isItself(x.ctx, f) }},
		{"target of a link", func(x *Session, f *Fid) error { return x.Root().Link(x.ctx, f, "link") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, x, f, finish := renameUnderWay(t, Options{})
			before := s.count(twalk)
			found := make(chan error, 1)
			go func() { found <- test.call(x, f) }()
			eventually(t, "it was looked for", func() bool { return s.count(twalk) > before && len(f.busy) == 0 })
			finish()
			check(t, within(t, 10*time.Second, found))
			if f.Path() != "e/f" {
				t.Error(f.Path())
			}
		})
	}
}

// So does one that has a number, on a server that knows fids by their path.
func TestFidsThatStrayFromTheirNumber(t *testing.T) {
	s, _, f, finish := renameUnderWay(t, Options{})
	finish()
	check(t, isItself(t.Context(), f))
	next := make(chan func(), 1)
	asked := make(chan error, 1)
	s.setHook(func(p *peer, m msg) bool {
		switch {
		case m.typ == trenameat:
			p.answer(deaf{p.nc}, m)
			next <- func() { p.reply(m) }
			return true
		case m.typ == tgetattr && len(asked) == 0:
			p.fail(m, syscall.ENOENT)
			asked <- nil
			return true
		}
		return false
	})
	renamed, found := make(chan error, 1), make(chan error, 1)
	go func() { renamed <- f.s.Root().Rename(t.Context(), "e", f.s.Root(), "g") }()
	eventually(t, "the server has renamed", func() bool { return len(next) == 1 })
	go func() { found <- isItself(t.Context(), f) }()
	eventually(t, "it was asked for", func() bool { return len(asked) == 1 })
	s.others(<-next)
	check(t, within(t, 10*time.Second, renamed))
	check(t, within(t, 10*time.Second, found))
	if f.Path() != "g/f" {
		t.Error(f.Path())
	}
}

// The wait for a rename ends, if it takes longer than a request may.
func TestTheWaitForARenameEnds(t *testing.T) {
	_, _, f, finish := renameUnderWay(t, Options{RequestTimeout: 300 * time.Millisecond})
	found := make(chan error, 1)
	go func() { found <- isItself(t.Context(), f) }()
	want(t, within(t, 10*time.Second, found), syscall.ESTALE)
	finish()
}

// A rename in a directory that is gone, or to one, does not wait for its own end.
func TestRenameInAStaleDirectoryEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(x *Session, sub *Fid) error
	}{
		{"from", func(x *Session, sub *Fid) error { return sub.Rename(x.ctx, "a", sub, "b") }},
		{"to below itself", func(x *Session, sub *Fid) error { return x.Root().Rename(x.ctx, "d", sub, "d") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t)
			d := s.add("d", QTDIR, "")
			d.kids["sub"] = s.newNode(QTDIR)
			x := s.dial(Options{})
			sub, err := x.Root().Walk(t.Context(), "d", "sub")
			check(t, err)
			defer sub.Clunk()
			s.others(func() { delete(d.kids, "sub") })
			s.cut()
			done := make(chan error, 1)
			go func() { done <- test.call(x, sub) }()
			want(t, within(t, 10*time.Second, done), syscall.ESTALE)
		})
	}
}

// An unlink in doubt is not taken for done because its directory is being renamed
// while the session looks.
func TestALookThatARenameOvertakes(t *testing.T) {
	s := startServer(t)
	dir := s.add("d", QTDIR, "")
	dir.kids["f"] = s.newNode(0)
	x := s.dial(Options{})
	d, err := x.Root().Walk(t.Context(), "d")
	check(t, err)
	defer d.Clunk()
	f, err := d.Walk(t.Context(), "f")
	check(t, err)
	defer f.Clunk()
	held := make(chan func(), 10)
	unlinks, looks := 0, 0
	s.setHook(func(p *peer, m msg) bool {
		switch {
		case m.typ == trenameat:
			held <- func() {
				if s.root.kids["e"] == nil {
					p.obey(m)
				} else {
					p.reply(m)
				}
			}
			return true
		case m.typ == tunlinkat:
			if unlinks++; unlinks == 1 {
				p.nc.Close()
				return true
			}
		case m.typ == twalk && strings.HasSuffix(string(m.body), "\x01\x00f"): // the look
			if looks++; looks == 1 {
				delete(s.root.kids, "d")
				s.root.kids["e"] = dir
				p.fail(m, syscall.ENOENT)
				return true
			}
		}
		return false
	})
	renamed, unlinked := make(chan error, 1), make(chan error, 1)
	go func() { renamed <- x.Root().Rename(t.Context(), "d", x.Root(), "e") }()
	eventually(t, "the rename is under way", func() bool { return len(held) == 1 })
	<-held // with the connection that is lost next
	go func() { unlinked <- d.Unlink(t.Context(), "f", 0) }()
	for unlinked != nil || renamed != nil {
		select {
		case err := <-unlinked:
			check(t, err)
			unlinked = nil
		case err := <-renamed:
			check(t, err)
			renamed = nil
		case answer := <-held:
			eventually(t, "the look", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return looks > 0 })
			s.others(answer)
		case <-time.After(30 * time.Second):
			t.Fatal("still waiting")
		}
	}
	s.others(func() {
		if dir.kids["f"] != nil || unlinks != 2 {
			t.Errorf("unlinked: %v, after %d requests", dir.kids["f"] == nil, unlinks)
		}
	})
}

// What another client moves may make a directory look as if it were moved below
// itself. No path is then without an end, and the fids that have a number work.
func TestARenameBelowWhatOthersMovedMakesNoCircle(t *testing.T) {
	s := startServer(t)
	a := s.add("a", QTDIR, "")
	b := s.newNode(QTDIR)
	a.kids["b"] = b
	x := s.dial(Options{})
	fa, err := x.Root().Walk(t.Context(), "a")
	check(t, err)
	fb, err := x.Root().Walk(t.Context(), "a", "b")
	check(t, err)
	s.others(func() { delete(a.kids, "b"); s.root.kids["b"] = b }) // by somebody else
	check(t, x.Root().Rename(t.Context(), "a", fb, "a"))
	done := make(chan error, 1)
	go func() { fa.Path(); _, err := fb.GetAttr(x.ctx); done <- err }()
	check(t, within(t, 10*time.Second, done))
	again, err := x.Root().Walk(t.Context(), "b", "a")
	check(t, err)
	if !fa.Replace(t.Context(), again) || fa.Path() != "b/a" {
		t.Errorf("found again at %q", fa.Path())
	}
	check(t, isItself(t.Context(), fa))
}
