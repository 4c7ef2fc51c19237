package p9client

import (
	"context"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Where the file that is replaced has to be set aside first, who is interrupted
// does not leave it there.
func TestInterruptedReplacementIsNotLeftHalfDone(t *testing.T) {
	for nth, what := range []string{1: "before the old file is set aside", 2: "while it is", 3: "when it has been"} {
		if what == "" {
			continue
		}
		t.Run(what, func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			src, old := s.add("new", 0, "new"), s.add("old", 0, "old")
			s.speak(Plain)
			x := s.dial(Options{Dialect: Plain})
			ctx, cancel := context.WithCancel(t.Context())
			answer := make(chan func(), 1)
			wstats := 0
			s.setHook(func(p *peer, m msg) bool {
				if m.typ != twstat {
					return false
				}
				if wstats++; wstats != nth {
					return false
				}
				cancel()
				answer <- func() { p.obey(m) }
				return true
			})
			done := make(chan error, 1)
			go func() { done <- x.Root().Rename(ctx, "new", x.Root(), "old") }()
			eventually(t, "the Twstat has come", func() bool { return len(answer) == 1 })
			if nth > 1 {
				s.others(<-answer)
			}
			err := within(t, 10*time.Second, done)
			s.mu.Lock()
			defer s.mu.Unlock()
			names := slices.Sorted(maps.Keys(s.root.kids))
			switch {
			case err == nil && slices.Equal(names, []string{"old"}) && s.root.kids["old"] == src:
			case nth == 1 && errnoOf(err) == syscall.EINTR && s.root.kids["old"] == old && s.root.kids["new"] == src:
			default:
				t.Errorf("%v; the server has %q", err, names)
			}
		})
	}
}

// Nor does who gives up while the connection is lost, when there is one again.
func TestReplacementGivenUpWithTheConnectionIsUndoneLater(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	src, old := s.add("new", 0, "new"), s.add("old", 0, "old")
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wstats := 0
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != twstat {
			return false
		}
		if wstats++; wstats == 3 { // the old file is aside
			s.l.Close()
			p.nc.Close()
			return true
		}
		return false
	})
	done := make(chan error, 1)
	go func() { done <- x.Root().Rename(ctx, "new", x.Root(), "old") }()
	eventually(t, "the connection is lost", func() bool { return !x.Link().Up })
	cancel()
	want(t, within(t, 10*time.Second, done), syscall.EINTR)
	s.others(s.listen)
	eventually(t, "both have their names", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.root.kids) == 2 && s.root.kids["old"] == old && s.root.kids["new"] == src
	})
}
