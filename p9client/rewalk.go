package p9client

import (
	"context"
	"errors"
	"strings"
)

// maxRewalks is how many fids that are not open are walked again at a time. After
// a reconnect there may be very many; what is left of the tags is for the open
// ones, which so do not stand in line behind them.
const maxRewalks = otherTags / 2

// queue waits for a place among the fids that are walked again on c.
func (s *Session) queue(ctx context.Context, c *conn) (release func(), err error) {
	select {
	case s.rewalks <- struct{}{}:
		return func() { <-s.rewalks }, nil
	case <-c.lost:
		return nil, &lostError{cause: c.err, unsent: true}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// walkAgain walks to path, where f was before, with a number of its own: from
// a directory on the way that has a number on c already, if that saves messages.
func (f *Fid) walkAgain(ctx context.Context, c *conn, path []string) (uint32, Qid, error) {
	if dir, from, rest := f.ancestor(c, path); dir != nil {
		num, qid, err := c.walk(ctx, from, rest)
		dir.pins.Add(-1)
		var refused *Error // the server may have lost it
		if !errors.As(err, &refused) {
			return num, qid, err
		}
	}
	return c.walk(ctx, c.root, path)
}

// ancestor returns the lowest directory above f that has a number on c, with
// a pin, and what is left of path from there. It is nil if a walk from the root
// needs no more messages.
func (f *Fid) ancestor(c *conn, path []string) (dir *Fid, num uint32, rest []string) {
	if len(path) <= maxWalkNames {
		return nil, 0, nil
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	depth := len(path) - 1
	for n := f.name.parent; n != nil && depth > 0; n = n.parent {
		rest = path[depth:]
		if twalks(rest) >= twalks(path) {
			break
		}
		if n.fid != nil {
			n.fid.pins.Add(1)
			if at := n.fid.leads(c); at != nil && at.path == strings.Join(path[:depth], "/") {
				return n.fid, at.num, rest
			}
			n.fid.pins.Add(-1)
		}
		depth--
	}
	return nil, 0, nil
}

// twalks returns how many messages a walk to path takes.
func twalks(path []string) int { return (len(path) + maxWalkNames - 1) / maxWalkNames }

// leads returns the fid's standing if it is one to walk from on c.
func (f *Fid) leads(c *conn) *standing {
	if at := f.at.Load(); at != nil && at.c == c && !at.opened {
		return at
	}
	return nil
}

// lead makes the fid the one to walk from on c to what is below it.
func (f *Fid) lead(c *conn) {
	if f.qid.Type&QTDIR == 0 || f.leads(c) == nil {
		return
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if l := f.name.fid; l == nil || l.leads(c) == nil {
		f.name.fid = f
	}
}
