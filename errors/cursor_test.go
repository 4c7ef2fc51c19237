package errjournal

import (
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func TestHeldBytesAreNoLoss(t *testing.T) {
	l := New(Options{}).Log(1, "a")
	c := l.Cursor()
	for s := range nStates {
		seq := l.Record(Entry{State: s, Errno: syscall.ENOSPC})
		if err := c.Check(); (err != nil) != (s == Dropped) {
			t.Errorf("%v: told %v", s, err)
		}
		if s != Dropped {
			l.Update(seq, become(Resolved))
		}
	}
	if err := c.Check(); err != nil {
		t.Errorf("told %v", err)
	}
}

func TestEveryHandleOpenAtALossIsToldOnce(t *testing.T) {
	l := New(Options{}).Log(1, "a")
	before := []*Cursor{l.Cursor(), l.Cursor()}
	seq := l.Record(failed(0))
	l.Update(seq, func(e *Entry) { e.State, e.Errno = Dropped, 0 })
	for i, c := range before {
		if err := c.Check(); err != syscall.EIO {
			t.Errorf("handle %d: %v, want EIO", i, err)
		}
		if err := c.Check(); err != nil {
			t.Errorf("handle %d told again: %v", i, err)
		}
	}
	if err := l.Cursor().Check(); err != nil {
		t.Errorf("a handle opened after the telling: %v", err)
	}
	l.Update(seq, func(e *Entry) { e.Tries++ }) // still dropped: no new loss
	if err := before[0].Check(); err != nil {
		t.Errorf("told of the same loss again: %v", err)
	}
	l.Record(Entry{State: Dropped, Errno: syscall.EFBIG})
	l.Record(Entry{State: Dropped, Errno: syscall.EDQUOT})
	if err := before[1].Check(); err != syscall.EDQUOT {
		t.Errorf("got %v, want the newest loss", err)
	}
}

func TestUnseenLossIsToldToTheNextHandleWhateverTheBoundsForget(t *testing.T) {
	j := New(Options{PerFile: 1, PerMount: 1})
	l := j.Log(1, "a")
	gone := l.Cursor()
	l.Record(Entry{State: Dropped, Errno: syscall.ENOSPC})
	_ = gone // closed without an fsync
	l.Close()
	j.Log(2, "b").Record(failed(0)) // evicts it
	j.Rename("a", "c")
	if files(j, "") != "b" {
		t.Fatalf("files %q", files(j, ""))
	}
	l = j.Log(1, "c")
	first, second := l.Cursor(), l.Cursor()
	for i, c := range []*Cursor{first, second} {
		if err := c.Check(); err != syscall.ENOSPC {
			t.Errorf("handle %d: %v, want ENOSPC", i, err)
		}
	}
	if err := l.Cursor().Check(); err != nil {
		t.Errorf("told after it was seen: %v", err)
	}
}

func TestLossOfAnEntryThatTheBoundsForgotCounts(t *testing.T) {
	l := New(Options{PerFile: 1}).Log(1, "a")
	c := l.Cursor()
	seq := l.Record(failed(0))
	l.Record(failed(1))
	if l.Update(seq, become(Resolved)) || c.Check() != nil {
		t.Error("a forgotten entry was updated, or its resolution told")
	}
	if l.Update(seq, func(e *Entry) { e.State, e.Errno = Dropped, syscall.EROFS }) {
		t.Error("a forgotten entry was updated")
	}
	if err := c.Check(); err != syscall.EROFS {
		t.Errorf("got %v, want EROFS", err)
	}
}

// The model: a loss is the set of cursors that were told of it. A cursor is
// told if it was there at the loss or nobody had been told when it was made.
func TestCursorsFollowTheModel(t *testing.T) {
	type loss struct {
		errno syscall.Errno
		owed  map[*Cursor]bool
		seen  bool
	}
	rapid.Check(t, func(t *rapid.T) {
		j := New(Options{PerFile: rapid.IntRange(1, 3).Draw(t, "bound")})
		l := j.Log(1, "a")
		var cursors []*Cursor
		var losses []*loss
		var open []uint64
		lose := func(errno syscall.Errno) {
			n := &loss{errno: errno, owed: map[*Cursor]bool{}}
			for _, c := range cursors {
				n.owed[c] = true
			}
			losses = append(losses, n)
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) {
				c := l.Cursor()
				for _, n := range losses {
					if !n.seen {
						n.owed[c] = true
					}
				}
				cursors = append(cursors, c)
			},
			"close the file": func(*rapid.T) {
				cursors = nil
				for _, n := range losses {
					clear(n.owed)
				}
				l.Close()
				l = j.Log(1, "a")
			},
			"fail": func(*rapid.T) { open = append(open, l.Record(failed(0))) },
			"drop": func(t *rapid.T) {
				errno := syscall.Errno(rapid.IntRange(1, 30).Draw(t, "errno"))
				if len(open) > 0 {
					l.Update(open[0], func(e *Entry) { e.State, e.Errno = Dropped, errno })
					open = open[1:]
				} else {
					l.Record(Entry{State: Dropped, Errno: errno})
				}
				lose(errno)
			},
			"fsync": func(t *rapid.T) {
				if len(cursors) == 0 {
					t.Skip("no handle")
				}
				c := rapid.SampledFrom(cursors).Draw(t, "handle")
				var want error
				for _, n := range losses {
					if n.owed[c] {
						want = n.errno
						delete(n.owed, c)
						n.seen = true
					}
				}
				if want != nil { // the newest stands for all before it
					for _, n := range losses {
						n.seen = true
					}
				}
				if got := c.Check(); got != want {
					t.Fatalf("told %v, want %v", got, want)
				}
			},
		})
	})
}
