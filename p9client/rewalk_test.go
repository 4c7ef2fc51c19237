package p9client

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// After a reconnect nothing is walked that nobody needs, and what was found again
// stays so for as long as the connection.
func TestFidsAreFoundAgainOnlyWhenNeeded(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{})
	fids := walkAll(t, x, s.grow(300))
	for range 3 {
		s.cut()
		before := s.count(twalk)
		for _, f := range slices.Concat(fids[:20], fids[:10]) {
			check(t, isItself(t.Context(), f))
		}
		if n := s.count(twalk) - before; n != 20 {
			t.Errorf("%d Twalks for 20 of 300 fids", n)
		}
		for _, f := range fids[20:] { // nor do they keep a dead connection from being collected
			if f.at.Load() != nil {
				t.Fatal("a fid knows a connection that is lost")
			}
		}
	}
}

// While thousands of fids are walked again and the server does not answer, what
// is open passes them.
func TestOpenFidsPassTheQueue(t *testing.T) {
	s := startServer(t)
	s.add("dirty", 0, "")
	x := s.dial(Options{})
	fids := walkAll(t, x, s.grow(1000))
	dirty := open(t, x, syscall.O_RDWR, "dirty")
	held := make(chan func(), len(fids))
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != twalk || strings.HasSuffix(string(m.body), "dirty") {
			return false
		}
		held <- func() { p.obey(m) }
		return true
	})
	s.cut()
	done := make(chan error, 1)
	go func() {
		each(len(fids), len(fids), func(i int) {
			if err := isItself(t.Context(), fids[i]); err != nil {
				t.Error(err)
			}
		})
		done <- nil
	}()
	eventually(t, "the queue is full", func() bool { return len(x.rewalks) == maxRewalks && len(held) == maxRewalks })
	wrote := make(chan error, 1)
	go func() {
		for {
			_, err := dirty.WriteAt(t.Context(), []byte("new"), 0)
			if !disconnected(err) {
				wrote <- err
				return
			}
		}
	}()
	check(t, within(t, 10*time.Second, wrote))
	s.setHook(nil)
	for range maxRewalks {
		obey := <-held
		s.others(obey)
	}
	within(t, 30*time.Second, done)
}

// A call that waits for its turn is not taken for the reason of the losses that
// it sees.
func TestLossesInTheQueueAreNoStrikes(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, "")
	x := s.dial(Options{BackoffMax: 30 * time.Millisecond})
	f, err := x.Root().Walk(t.Context(), "f")
	check(t, err)
	for range maxRewalks {
		x.rewalks <- struct{}{}
	}
	s.cut()
	done := make(chan error, 1)
	go func() { done <- isItself(t.Context(), f) }()
	for g := range uint64(maxStrikes + 4) {
		eventually(t, "it is in the queue", func() bool {
			l := x.Link()
			return l.Up && l.Generation == g+2 && len(f.busy) == 1
		})
		s.cut()
	}
	for range maxRewalks {
		<-x.rewalks
	}
	check(t, within(t, 10*time.Second, done))
}

// deepServer has a directory at some depth and files in it.
func deepServer(t *testing.T, depth, files int) (s *server, dir []string, names []string) {
	s = startServer(t)
	at := s.root
	for i := range depth {
		name := fmt.Sprint("deep", i)
		at.kids[name] = s.newNode(QTDIR)
		at = at.kids[name]
		dir = append(dir, name)
	}
	for i := range files {
		names = append(names, fmt.Sprint("f", i))
		at.kids[names[i]] = s.newNode(0)
	}
	return s, dir, names
}

// Below a directory that was found again, a deep file costs one Twalk.
func TestDeepFidsAreWalkedFromTheirDirectory(t *testing.T) {
	s, dir, names := deepServer(t, 40, 20)
	x := s.dial(Options{})
	d, err := x.Root().Walk(t.Context(), dir...)
	check(t, err)
	var fids []*Fid
	for _, n := range names {
		f, err := d.Walk(t.Context(), n)
		check(t, err)
		fids = append(fids, f)
	}
	walks := func(fids ...*Fid) int {
		before := s.count(twalk)
		for _, f := range fids {
			check(t, isItself(t.Context(), f))
		}
		return s.count(twalk) - before
	}
	s.cut()
	if n := walks(fids[0]); n != 3 {
		t.Errorf("%d Twalks for 41 names from the root, want 3", n)
	}
	if n := walks(d); n != 3 {
		t.Errorf("%d Twalks for 40 names, want 3", n)
	}
	if n := walks(fids[1:]...); n != len(fids)-1 {
		t.Errorf("%d Twalks for %d files in a directory that is there, want one each", n, len(fids)-1)
	}
	if n := walks(append(fids, d)...); n != 0 {
		t.Errorf("%d Twalks for fids that are there", n)
	}
	// A directory that the server has lost is no reason to fail.
	s.cut()
	check(t, isItself(t.Context(), d))
	s.once(twalk, func(p *peer, m msg) { p.fail(m, syscall.EBADF) })
	if n := walks(fids[0]); n != 1+3 {
		t.Errorf("%d Twalks, want 4", n)
	}
	// One that a rename has moved may be another one, on servers that know a fid by
	// its path, and is not walked from until it was looked at again.
	check(t, x.Root().Rename(t.Context(), dir[0], x.Root(), "renamed"))
	if n := walks(fids[0]); n != 3 {
		t.Errorf("%d Twalks after a rename, want 3", n)
	}
	if n := walks(d, fids[1]); n != 3+1 {
		t.Errorf("%d Twalks for the directory and another file after a rename, want 4", n)
	}
	d.Clunk()
	s.cut()
	if n := walks(fids[0]); n != 3 {
		t.Errorf("%d Twalks after its directory's fid was clunked, want 3", n)
	}
}

func TestIounitIsKnownWhileDisconnected(t *testing.T) {
	s := startServer(t)
	n := s.add("f", 0, "")
	s.once(tlopen, func(p *peer, m msg) { p.reply(m, append(qidBytes(n.qid), le32(512)...)...) })
	x := s.dial(Options{})
	f := open(t, x, syscall.O_RDONLY, "f")
	s.stop()
	eventually(t, "the loss is noticed", func() bool { return !x.Link().Up })
	if n := f.MaxIO(); n != 512 {
		t.Error(n)
	}
}
