package p9client

import (
	"context"
	"strings"
	"time"
)

// A place is where something is that is being renamed.
type place struct {
	dir  *name
	elem string
}

// A move is one or more renames of a place that are under way. Between the moment
// when the server obeys and its reply, what is below the place is not found where
// the session believes it to be.
type move struct {
	renames int
	done    chan struct{} // closed when the last has ended
}

type renameKey struct{}

// renaming begins a rename of elem in f to dir, and pins dir, until done is called.
// The context is for what belongs to the rename, which does not wait for itself.
func (f *Fid) renaming(ctx context.Context, elem string, dir *Fid) (_ context.Context, done func()) {
	s := f.s
	dir.pins.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := place{f.name, elem}
	m := s.moving[p]
	if m == nil {
		m = &move{done: make(chan struct{})}
		if s.moving == nil {
			s.moving = make(map[place]*move)
		}
		s.moving[p] = m
	}
	m.renames++
	return context.WithValue(ctx, renameKey{}, p), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if m.renames--; m.renames == 0 {
			delete(s.moving, p)
			close(m.done)
		}
		dir.pins.Add(-1)
	}
}

// strayed reports whether the fid's path is not the one any more by which at was
// walked, or at once will not be: it waits for the renames under way above it.
func (f *Fid) strayed(ctx context.Context, at *standing) bool {
	if f.isRoot || at.opened {
		return false
	}
	own, _ := ctx.Value(renameKey{}).(place)
	var patience <-chan time.Time
	for {
		f.s.mu.Lock()
		path, ok := f.name.pathLocked()
		m := f.s.moveAboveLocked(f.name, own)
		f.s.mu.Unlock()
		if !ok || strings.Join(path, "/") != at.path {
			return ok
		}
		if m == nil {
			return false
		}
		if patience == nil { // for renames that wait for each other
			t := time.NewTimer(f.s.o.RequestTimeout)
			defer t.Stop()
			patience = t.C
		}
		select {
		case <-m.done:
		case <-at.c.lost: // the next request tells
			return true
		case <-ctx.Done():
			return false
		case <-patience:
			return false
		}
	}
}

// moveAboveLocked returns a move of n or of what is above it, but for own.
func (s *Session) moveAboveLocked(n *name, own place) *move {
	if len(s.moving) == 0 {
		return nil
	}
	for ; n.parent != nil; n = n.parent {
		p := place{n.parent, n.elem}
		if m := s.moving[p]; m != nil && p != own {
			return m
		}
	}
	return nil
}
