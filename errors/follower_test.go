package errjournal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFollowerIsGivenEveryChangeInOrder(t *testing.T) {
	j := New(Options{})
	l := j.Log(1, "a")
	l.Record(failed(0)) // before
	f, g := j.Follow(), j.Follow()
	ready := f.Ready()
	select {
	case <-ready:
		t.Fatal("ready before anything happened")
	default:
	}
	seq := l.Record(failed(1))
	l.Update(seq, become(Pending))
	j.Rename("a", "b")
	l.Update(seq, become(Dropped))
	for i, ready := range []<-chan struct{}{ready, f.Ready()} {
		select {
		case <-ready:
		default:
			t.Fatalf("not ready: %d", i)
		}
	}
	for _, f := range []*Follower{f, g} {
		l, missed := f.Take()
		if len(l) != 3 || missed != 0 {
			t.Fatalf("given %v, %d missed", l, missed)
		}
		for i, want := range []Entry{{State: Failed, File: "a"}, {State: Pending, File: "a"}, {State: Dropped, File: "b"}} {
			if e := l[i]; e.Seq != seq || e.State != want.State || e.File != want.File || e.Off != 1 {
				t.Errorf("change %d: %v", i, e)
			}
		}
		if l, missed = f.Take(); len(l) != 0 || missed != 0 {
			t.Errorf("given again: %v", l)
		}
	}
}

func TestNextWaitsForAChangeOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := New(Options{})
		l := j.Log(1, "a")
		f := j.Follow()
		got := make(chan []Entry, 1)
		go func() {
			entries, _, err := f.Next(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- entries
		}()
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("Next did not wait")
		}
		l.Record(failed(7))
		if entries := <-got; len(entries) != 1 || entries[0].Off != 7 {
			t.Errorf("given %v", entries)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		failure := make(chan error, 1)
		go func() { _, _, err := f.Next(ctx); failure <- err }()
		synctest.Wait()
		cancel(syscall.EINTR)
		if err := <-failure; !errors.Is(err, syscall.EINTR) {
			t.Errorf("Next = %v", err)
		}
		l.Record(failed(8))
		if entries, _ := f.Take(); len(entries) != 1 || entries[0].Off != 8 {
			t.Errorf("after an ended wait: %v", entries)
		}
	})
}

func TestSlowFollowerIsToldHowMuchItMissed(t *testing.T) {
	j := New(Options{Events: 4})
	l := j.Log(1, "a")
	f := j.Follow()
	for i := range 9 {
		l.Record(failed(int64(i)))
	}
	entries, missed := f.Take()
	if len(entries) != 4 || entries[0].Off != 5 || entries[3].Off != 8 || missed != 5 {
		t.Fatalf("given %v, %d missed", entries, missed)
	}
	b := AppendGap([]byte("x\n"), missed)
	if !strings.HasPrefix(string(b), "x\n# 5 changes missed: ") || !strings.HasSuffix(string(b), "\n") {
		t.Errorf("the gap reads %q", b)
	}
	if l, errs := parseAll(strings.NewReader(string(b[2:]))); len(l)+len(errs) != 0 {
		t.Errorf("the gap is no comment: %v, %v", l, errs)
	}
	if b := AppendGap(nil, 0); b != nil {
		t.Errorf("no gap reads %q", b)
	}
}

// Everything is given once, in order, or counted as missed, whoever races.
func TestFollowerMissesNothingUncounted(t *testing.T) {
	j := New(Options{Events: 16})
	const writers, each = 4, 500
	f := j.Follow()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for w := range writers {
		l := j.Log(uint64(w), "a")
		wg.Go(func() {
			for range each {
				l.Record(failed(0))
			}
		})
	}
	seen, last := uint64(0), uint64(0)
	for seen < writers*each {
		entries, missed, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if e.Seq <= last || i > 0 && e.Seq != last+1 {
				t.Fatalf("seq %d after %d", e.Seq, last)
			}
			last = e.Seq
		}
		seen += uint64(len(entries)) + missed
		if seen != last {
			t.Fatalf("%d given or missed, the last is %d", seen, last)
		}
	}
	wg.Wait()
}

// The loss of a file without a name, a handle or an inode is told to whoever
// comes upon the file again, and its line stays where it was.
func TestJournalOutlivesNameHandleAndInode(t *testing.T) {
	j := New(Options{})
	l := j.Log(1, "d/a")
	open := l.Cursor()
	seq := l.Record(failed(0))
	j.Rename("d", "e")     // the directory is renamed,
	j.Removed("e/a")       // the file unlinked,
	j.Rename("e", "f")     // its last name stays;
	l.Close()              // then the last close and FORGET;
	again := j.Log(1, "g") // found by qid under another link
	if !again.Update(seq, become(Dropped)) {
		t.Error("the entry went with the inode")
	}
	if later := again.Cursor(); later.Check() != syscall.ENOSPC || later.Check() != nil {
		t.Error("the handle opened after the unseen loss is not told just once")
	}
	if err := open.Check(); err != syscall.ENOSPC || open.Check() != nil {
		t.Errorf("the handle open at the loss is told %v", err)
	}
	if c := again.Cursor(); c.Check() != nil {
		t.Error("a handle opened after it was seen is told")
	}
	if got := files(j, ""); got != "g" {
		t.Errorf("listed under %q", got)
	}
}
