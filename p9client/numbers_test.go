package p9client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

// grow makes n files, spread over directories, and returns their paths.
func (s *server) grow(n int) [][]string {
	const perDir = 100
	paths := make([][]string, n)
	var d *node
	for i := range n {
		dir := fmt.Sprint("d", i/perDir)
		if i%perDir == 0 {
			d = s.add(dir, QTDIR, "")
		}
		name := fmt.Sprint("f", i)
		s.mu.Lock()
		d.kids[name] = s.newNode(0)
		s.mu.Unlock()
		paths[i] = []string{dir, name}
	}
	return paths
}

// walkAll walks to every path, many at a time.
func walkAll(t *testing.T, x *Session, paths [][]string) []*Fid {
	t.Helper()
	fids := make([]*Fid, len(paths))
	each(len(paths), 64, func(i int) {
		f, err := x.Root().Walk(t.Context(), paths[i]...)
		if err != nil {
			t.Error(err)
			return
		}
		fids[i] = f
	})
	if t.Failed() {
		t.FailNow()
	}
	return fids
}

// each calls f for 0 to n-1 in so many goroutines.
func each(n, goroutines int, f func(i int)) {
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n; i += goroutines {
				f(i)
			}
		})
	}
	wg.Wait()
}

// isItself checks that a fid stands for its own file.
func isItself(ctx context.Context, f *Fid) error {
	a, err := f.GetAttr(ctx)
	if err == nil && !a.Qid.same(f.Qid()) {
		err = fmt.Errorf("%s: attributes of qid %v, want %v", f.Path(), a.Qid, f.Qid())
	}
	return err
}

// others changes the tree as another client does.
func (s *server) others(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) mostFids() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// One caller never has more fids on the wire than MaxFids, and all its fids work.
func TestMaxFidsBoundsTheFidsOnTheWire(t *testing.T) {
	s := startServer(t)
	paths := s.grow(500)
	const most = 50
	x := s.dial(Options{MaxFids: most})
	var fids []*Fid
	for _, p := range paths {
		f, err := x.Root().Walk(t.Context(), p...)
		check(t, err)
		check(t, isItself(t.Context(), f))
		fids = append(fids, f)
	}
	for _, f := range fids {
		check(t, isItself(t.Context(), f))
	}
	if n := s.mostFids(); n > most || n < most-2 {
		t.Errorf("the server had %d fids at a time, want at most %d, and as many", n, most)
	}
	for _, f := range fids {
		f.Clunk()
	}
	eventually(t, "all are clunked", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for p := range s.peers {
			return len(p.fids) == 1
		}
		return false
	})
}

// With many callers it is a few more, those that are under way; and no request
// goes out with a number that was given up.
func TestMaxFidsWithManyCallers(t *testing.T) {
	s := startServer(t)
	s.quick = true
	paths := s.grow(1000)
	const most, callers = 100, 16
	x := s.dial(Options{MaxFids: most})
	fids := walkAll(t, x, paths)
	seed := uint64(time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	each(callers, callers, func(i int) {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		for range 400 {
			f := fids[rnd.IntN(len(fids))]
			if rnd.IntN(3) == 0 { // one that all like to use
				f = fids[rnd.IntN(3)]
			}
			if err := isItself(ctx, f); err != nil {
				t.Errorf("seed %d: %v", seed, err)
				return
			}
			if rnd.IntN(10) == 0 {
				g, err := f.Walk(ctx)
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
				g.Clunk()
			}
		}
	})
	if n := s.mostFids(); n > most+64+2*callers {
		t.Errorf("seed %d: the server had %d fids at a time", seed, n)
	}
	x.numbers.mu.Lock()
	defer x.numbers.mu.Unlock()
	if n := len(x.numbers.ring) + len(x.numbers.kept); n > most {
		t.Errorf("seed %d: %d fids have numbers", seed, n)
	}
}

// What is used often is not walked again, nor is what is open.
func TestFidsInUseKeepTheirNumbers(t *testing.T) {
	s := startServer(t)
	paths := s.grow(500)
	s.add("hot", QTDIR, "")
	s.add("open", 0, "hello")
	x := s.dial(Options{MaxFids: 50})
	hot, err := x.Root().Walk(t.Context(), "hot")
	check(t, err)
	opened := open(t, x, syscall.O_RDONLY, "open")
	for _, p := range paths {
		_, err := x.Root().Walk(t.Context(), p...)
		check(t, err)
		check(t, isItself(t.Context(), hot))
	}
	if n, err := opened.ReadAt(t.Context(), make([]byte, 5), 0); n != 5 {
		t.Error(n, err)
	}
	// The hand goes round some ten times. When it does for the first time, all
	// were used, and it takes the first.
	if n := s.count(twalk) - 2 - len(paths); n > 1 {
		t.Errorf("what is used all the time was walked again %d times", n)
	}
	if n := s.count(tlopen); n != 1 {
		t.Errorf("opened %d times", n)
	}
}

// When open fids alone are too many, they all stay, and a few others beside them.
func TestOpenFidsBeyondMaxFids(t *testing.T) {
	s := startServer(t)
	paths := s.grow(300)
	const most = 40
	x := s.dial(Options{MaxFids: most})
	for _, p := range paths[:100] {
		open(t, x, syscall.O_RDONLY, p...)
	}
	for _, f := range walkAll(t, x, paths[100:]) {
		check(t, isItself(t.Context(), f))
	}
	if n := s.count(tlopen); n != 100 {
		t.Errorf("opened %d times", n)
	}
	x.numbers.mu.Lock()
	defer x.numbers.mu.Unlock()
	if ring, kept := len(x.numbers.ring), len(x.numbers.kept); ring != most/4 || kept != 100 {
		t.Errorf("%d that are open have numbers, and %d others", kept, ring)
	}
}

// A fid whose number was given up is found again by its path, or is stale, as
// after a reconnect. One of a removed file keeps its number.
func TestFidsThatGaveUpTheirNumbers(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *server, x *Session) error
		err    error
	}{
		{"same", func(*server, *Session) error { return nil }, nil},
		{"renamed here", func(s *server, x *Session) error { return x.Root().Rename(x.ctx, "f", x.Root(), "g") }, nil},
		{"replaced by others", func(s *server, x *Session) error {
			s.others(func() { s.root.kids["f"] = s.newNode(0) })
			return nil
		}, syscall.ESTALE},
		{"renamed by others", func(s *server, x *Session) error {
			s.others(func() { s.root.kids["g"] = s.root.kids["f"]; delete(s.root.kids, "f") })
			return nil
		}, syscall.ESTALE},
		{"removed here before", func(s *server, x *Session) error { return x.Root().Unlink(x.ctx, "f", 0) }, syscall.ESTALE},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t)
			s.add("f", 0, "hello")
			paths := s.grow(200)
			x := s.dial(Options{MaxFids: 50})
			f, err := x.Root().Walk(t.Context(), "f")
			check(t, err)
			walkAll(t, x, paths)
			if f.at.Load() != nil {
				t.Fatal("still has its number")
			}
			check(t, test.change(s, x))
			if err := isItself(t.Context(), f); !errors.Is(err, test.err) {
				t.Errorf("%v, want %v", err, test.err)
			}
		})
	}
	t.Run("removed here while it has a number", func(t *testing.T) {
		s := startServer(t)
		s.add("f", 0, "hello")
		paths := s.grow(200)
		x := s.dial(Options{MaxFids: 50})
		f, err := x.Root().Walk(t.Context(), "f")
		check(t, err)
		check(t, x.Root().Unlink(t.Context(), "f", 0))
		walkAll(t, x, paths)
		check(t, isItself(t.Context(), f))
		// A fid that gets a name again may lose its number again.
		s.others(func() { s.root.kids["again"] = &node{qid: f.Qid()} })
		by, err := x.Root().Walk(t.Context(), "again")
		check(t, err)
		if !f.Replace(t.Context(), by) {
			t.Fatal("not replaced")
		}
		by.Clunk()
		check(t, isItself(t.Context(), f))
		walkAll(t, x, paths)
		if f.at.Load() != nil || f.left != nil {
			t.Error("keeps its number")
		}
		check(t, isItself(t.Context(), f))
		f.Clunk()
	})
}

// A number that a call may still use is not given up: a fid that is being opened,
// a directory that is being renamed to.
func TestNumbersOfCallsUnderWay(t *testing.T) {
	for _, test := range []struct {
		name string
		typ  uint8
		call func(x *Session, f *Fid) error
	}{
		{"getattr", tgetattr, func(x *Session, f *Fid) error { return isItself(x.ctx, f) }},
		{"open", tlopen, func(x *Session, f *Fid) error { return f.Open(x.ctx, syscall.O_RDONLY) }},
		{"target of a rename", trenameat, func(x *Session, f *Fid) error { return x.Root().Rename(x.ctx, "f", f, "new") }},
		{"target of a link", tlink, func(x *Session, f *Fid) error { return x.Root().Link(x.ctx, f, "new") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t)
			s.add("dir", QTDIR, "")
			s.add("f", 0, "")
			paths := s.grow(200)
			x := s.dial(Options{MaxFids: 50})
			f, err := x.Root().Walk(t.Context(), "dir")
			check(t, err)
			var from *peer
			var held msg
			came := make(chan error, 1)
			s.once(test.typ, func(p *peer, m msg) { from, held = p, m; came <- nil })
			done := make(chan error, 1)
			go func() { done <- test.call(x, f) }()
			within(t, 10*time.Second, came)
			walkAll(t, x, paths)
			s.mu.Lock()
			from.obey(held) // complains of an unknown fid
			s.mu.Unlock()
			check(t, within(t, 10*time.Second, done))
			if n := f.pins.Load(); n != 0 {
				t.Errorf("%d pins are left", n)
			}
			f.Clunk()
			if _, err := f.GetAttr(t.Context()); !errors.Is(err, syscall.EBADF) {
				t.Error("after Clunk:", err)
			}
		})
	}
}

// standings calls f for a fid that is walked and for one that is open, with what
// looks up its number.
func standings(t testing.TB, f func(name string, number func() error)) {
	s := startServer(t)
	s.add("f", 0, "hello")
	x := s.dial(Options{})
	c, err := x.use(t.Context())
	check(t, err)
	ctx := t.Context()
	for _, name := range []string{"walked", "open"} {
		fid, err := x.Root().Walk(ctx, "f")
		check(t, err)
		if name == "open" {
			check(t, fid.Open(ctx, syscall.O_RDONLY))
		}
		f(name, func() error { return fid.on(ctx, c, func(*standing) error { return nil }) })
		fid.Clunk()
	}
}

func TestFindingANumberAllocatesNothing(t *testing.T) {
	standings(t, func(name string, number func() error) {
		check(t, number())
		if n := testing.AllocsPerRun(100, func() { number() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	})
}

// What it costs to find that a fid has its number. Open fids take part in nothing
// that others write to.
func BenchmarkStanding(b *testing.B) {
	standings(b, func(name string, number func() error) {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					number()
				}
			})
		})
	})
}
