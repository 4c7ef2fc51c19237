package p9client

import (
	"context"
	"fmt"
	"strings"
	"syscall"
)

// walk makes a new fid on c, at path below from. On error there is no fid.
func (c *conn) walk(ctx context.Context, from uint32, path []string) (uint32, Qid, error) {
	num := c.newFid()
	at := from
	var qid Qid
	for {
		part := path[:min(len(path), maxWalkNames)]
		qids, err := c.twalk(ctx, at, num, part)
		if err == nil && len(qids) < len(part) {
			err = syscall.ENOENT
			if len(qids) > 0 && qids[len(qids)-1].Type&QTDIR == 0 {
				err = syscall.ENOTDIR
			}
			err = &Error{Errno: err.(syscall.Errno)}
		}
		if err != nil {
			switch {
			case at == num: // an earlier part was walked
				c.clunk(num)
			case ctx.Err() != nil: // it may exist, or come to exist
				c.clunk(num)
			default:
				c.freeFid(num)
			}
			return 0, Qid{}, err
		}
		if len(qids) > 0 {
			qid = qids[len(qids)-1]
		}
		if path = path[len(part):]; len(path) == 0 {
			return num, qid, nil
		}
		at = num
	}
}

func (c *conn) twalk(ctx context.Context, fid, newfid uint32, names []string) ([]Qid, error) {
	cl := newCall(twalk)
	cl.enc.u32(fid)
	cl.enc.u32(newfid)
	cl.newFid = newfid
	cl.enc.u16(uint16(len(names)))
	for _, n := range names {
		cl.enc.str(n)
	}
	if len(cl.enc.b) > c.msize {
		return nil, &Error{Errno: syscall.ENAMETOOLONG}
	}
	if _, err := c.rpc(ctx, cl, nil); err != nil {
		return nil, err
	}
	d := decoder{b: cl.body}
	n := int(d.u16())
	if n > len(names) || len(names) > 0 && n == 0 {
		return nil, c.nonsense("Rwalk of %d qids for %d names", n, len(names))
	}
	qids := make([]Qid, n)
	for i := range qids {
		qids[i] = d.qid()
	}
	if err := d.end(); err != nil {
		return nil, c.nonsense("Rwalk: %w", err)
	}
	return qids, nil
}

// nonsense gives the connection up because of a reply that makes no sense.
func (c *conn) nonsense(format string, a ...any) error {
	err := protocolError(format, a...)
	c.lose(err)
	return &lostError{cause: err}
}

// Walk returns a new fid at names below f; without names, a copy of f that is
// not open. A name that does not exist gives ENOENT.
func (f *Fid) Walk(ctx context.Context, names ...string) (*Fid, error) {
	for _, n := range names {
		if !validName(n) {
			return nil, &Error{Op: "Twalk", Path: f.Path(), Errno: syscall.EINVAL, Ename: fmt.Sprintf("%q cannot be a file's name", n)}
		}
	}
	var g *Fid
	err := f.do(ctx, "Twalk", func(at *standing) error {
		num, qid, err := at.c.walk(ctx, at.num, names)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			qid = f.qid
		}
		g = f.derive(at.c, names, qid)
		// moves 0: the path is looked at again before the first use. It may have
		// changed while the Twalk was under way.
		g.at.Store(&standing{c: at.c, num: num, path: strings.Join(append(splitPath(at.path), names...), "/")})
		return nil
	})
	return g, err
}

func splitPath(p string) []string {
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// derive makes the fid that was walked to names below f, on c.
func (f *Fid) derive(c *conn, names []string, qid Qid) *Fid {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	n := f.name
	n.refs++
	for _, elem := range names {
		k := n.childLocked(elem)
		n.releaseLocked()
		n = k
	}
	if n != f.s.root.name {
		n.qid = qid
	}
	return &Fid{s: f.s, name: n, qid: qid, under: c.rootQid, busy: make(chan struct{}, 1)}
}
