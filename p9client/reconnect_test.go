package p9client

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

func TestReadsAreHeldUntilTheServerIsBack(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, "hello")
	x := s.dial(Options{})
	f := open(t, x, syscall.O_RDWR|syscall.O_TRUNC|syscall.O_EXCL, "f")
	s.stop()
	eventually(t, "the loss is noticed", func() bool { return !x.Link().Up })
	if !x.Link().HoldUntil.IsZero() {
		t.Error("held not for ever, until", x.Link().HoldUntil)
	}
	_, err := f.WriteAt(t.Context(), []byte("x"), 0)
	if !disconnected(err) {
		t.Error("a write waits, or:", err)
	}
	if err := f.Sync(t.Context(), false); !disconnected(err) {
		t.Error("Sync:", err)
	}
	if _, err := f.GetAttr(WithoutHold(t.Context())); !disconnected(err) {
		t.Error("WithoutHold:", err)
	}
	done := make(chan error, 1)
	go func() {
		b := make([]byte, 9)
		n, err := f.ReadAt(t.Context(), b, 0)
		if n != 5 || string(b[:n]) != "hello" || err != io.EOF {
			t.Error(n, err)
		}
		done <- nil
	}()
	select {
	case <-done:
		t.Fatal("not held")
	case <-time.After(20 * time.Millisecond):
	}
	s.listen()
	within(t, 3*time.Second, done)
	if _, err := f.GetAttr(AtGeneration(t.Context(), 1)); !disconnected(err) {
		t.Error("AtGeneration 1:", err)
	}
	if _, err := f.GetAttr(AtGeneration(t.Context(), 2)); err != nil {
		t.Error("AtGeneration 2:", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var opens []uint32
	for _, m := range s.seen {
		if m.typ == tlopen {
			opens = append(opens, (&decoder{b: m.body[4:]}).u32())
		}
	}
	const first = syscall.O_RDWR | syscall.O_TRUNC | largeFile
	if len(opens) != 2 || opens[0] != first || opens[1] != first&^syscall.O_TRUNC {
		t.Errorf("flags of Tlopen: %#o", opens)
	}
}

func TestHoldTimeRunsFromTheLoss(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, "hello")
	const hold = 100 * time.Millisecond
	x := s.dial(Options{HoldTimeout: hold})
	f := open(t, x, syscall.O_RDONLY, "f")
	began := time.Now()
	s.stop()
	_, err := f.ReadAt(t.Context(), make([]byte, 5), 0)
	want(t, err, syscall.ETIMEDOUT)
	if d := time.Since(began); d < hold || d > 20*hold || !disconnected(err) {
		t.Error(d, err)
	}
	began = time.Now()
	_, err = f.ReadAt(t.Context(), make([]byte, 5), 0)
	if d := time.Since(began); d > hold/2 || !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("not at once but after %v: %v", d, err)
	}
	s.listen()
	eventually(t, "up", func() bool { return x.Link().Up })
	if _, err := f.ReadAt(t.Context(), make([]byte, 5), 0); err != nil {
		t.Error(err)
	}
}

// Connections that are lost at once do not start the hold time again.
func TestHoldTimeOfAServerThatKeepsFailing(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{HoldTimeout: time.Minute, BackoffMax: 5 * time.Second})
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != tattach {
			return false
		}
		p.obey(m)
		p.nc.Close()
		return true
	})
	s.cut()
	var until time.Time
	for {
		news := x.LinkChanged()
		l := x.Link()
		if !l.Up {
			if !until.IsZero() && !l.HoldUntil.Equal(until) {
				t.Fatalf("generation %d: held until %v, before it was %v", l.Generation, l.HoldUntil, until)
			}
			if until = l.HoldUntil; l.Generation >= 4 {
				return
			}
		}
		select {
		case <-news:
		case <-time.After(5 * time.Second):
			t.Fatal("the link does not change")
		}
	}
}

func TestFailModeDoesNotWait(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{HoldTimeout: -1})
	s.stop()
	eventually(t, "down", func() bool { return !x.Link().Up })
	if _, err := x.Root().GetAttr(t.Context()); !disconnected(err) {
		t.Error(err)
	}
}

// A request under which every connection is lost ends, also if held for ever.
func TestPoisonEnds(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{BackoffMax: 50 * time.Millisecond}) // a shorter life is a strike
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == tgetattr {
			p.nc.Close()
		}
		return m.typ == tgetattr
	})
	_, err := x.Root().GetAttr(t.Context())
	if !disconnected(err) {
		t.Error(err)
	}
	if n := s.count(tgetattr); n < 9 || n > maxStrikes {
		t.Errorf("sent %d times", n)
	}
}

// Another file, or none, under the name that a fid had is ESTALE.
func TestFidsOfOtherFilesAreStale(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *server)
		f, g   error // of the old fid, and of a new walk to f
	}{
		{"same", func(s *server) {}, nil, nil},
		{"removed", func(s *server) { delete(s.root.kids, "f") }, syscall.ESTALE, syscall.ENOENT},
		{"other path", func(s *server) { s.root.kids["f"].qid.Path = 99 }, syscall.ESTALE, nil},
		{"other type", func(s *server) { s.root.kids["f"].qid.Type = QTSYMLINK }, syscall.ESTALE, nil},
		{"other version", func(s *server) { s.root.kids["f"].qid.Version = 7 }, nil, nil},
		{"other root", func(s *server) { s.root.qid.Path = 99 }, syscall.ESTALE, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t)
			s.add("f", 0, "hello")
			x := s.dial(Options{})
			f := open(t, x, syscall.O_RDONLY, "f")
			rootQid := s.root.qid
			s.mu.Lock()
			test.change(s)
			s.mu.Unlock()
			s.cut()
			eventually(t, "the next generation", func() bool { return x.Link().Up && x.Link().Generation == 2 })
			if _, err := f.GetAttr(t.Context()); !errors.Is(err, test.f) {
				t.Errorf("old fid: %v, want %v", err, test.f)
			}
			if _, err := x.Root().GetAttr(t.Context()); err != nil {
				t.Error("root:", err)
			}
			g, err := x.Root().Walk(t.Context(), "f")
			if !errors.Is(err, test.g) {
				t.Errorf("new walk: %v, want %v", err, test.g)
			}
			if err == nil {
				defer g.Clunk()
			}
			if test.name != "other root" {
				return
			}
			s.mu.Lock()
			s.root.qid = rootQid
			s.mu.Unlock()
			s.cut()
			eventually(t, "generation 3", func() bool { return x.Link().Up && x.Link().Generation == 3 })
			if _, err := f.GetAttr(t.Context()); err != nil {
				t.Error("the old root is back:", err)
			}
			if _, err := g.GetAttr(t.Context()); !errors.Is(err, syscall.ESTALE) {
				t.Error("fid of the other root:", err)
			}
		})
	}
}

func TestRenamedDirectoryCarriesItsFids(t *testing.T) {
	s := startServer(t)
	s.add("d", QTDIR, "")
	x := s.dial(Options{})
	d, err := x.Root().Walk(t.Context(), "d")
	check(t, err)
	defer d.Clunk()
	f, err := d.Create(t.Context(), "f", syscall.O_RDWR|syscall.O_EXCL, 0600, 0)
	check(t, err)
	defer f.Clunk()
	_, err = f.WriteAt(t.Context(), []byte("hello"), 0)
	check(t, err)
	check(t, x.Root().Rename(t.Context(), "d", x.Root(), "e"))
	s.cut()
	b := make([]byte, 5)
	if n, err := f.ReadAt(t.Context(), b, 0); n != 5 || err != nil || f.Path() != "e/f" {
		t.Error(n, err, f.Path())
	}
}

func TestLinkOfANameThatIsThere(t *testing.T) {
	s := startServer(t)
	n := s.add("f", 0, "")
	s.root.kids["new"] = n // even of the same file
	x := s.dial(Options{})
	f := open(t, x, syscall.O_RDONLY, "f")
	want(t, x.Root().Link(t.Context(), f, "new"), syscall.EEXIST)
}
