package p9client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// walk makes a new fid on c, at path below from. On error there is no fid.
func (c *conn) walk(ctx context.Context, from uint32, path []string) (uint32, Qid, error) {
	for tries := 1; ; tries++ {
		num := c.newFid()
		qid, err := c.walkTo(ctx, from, num, path)
		switch {
		case err == nil:
			return num, qid, nil
		case errnoOf(err) != syscall.ERANGE || tries == 4 || !c.refused(ctx, num):
			return 0, Qid{}, err
		}
	}
}

// walkTo is walk, to the fid num.
func (c *conn) walkTo(ctx context.Context, from, num uint32, path []string) (Qid, error) {
	at := from
	var qid Qid
	for {
		part := path[:min(len(path), maxWalkNames)]
		qids, err := c.twalk(ctx, at, num, part)
		if err == nil && len(qids) < len(part) {
			err = partial(qids)
		}
		if err != nil {
			if at == num { // an earlier part was walked
				c.clunk(num)
			} else {
				c.nofid(ctx, num)
			}
			return Qid{}, err
		}
		if len(qids) > 0 {
			qid = qids[len(qids)-1]
		}
		if path = path[len(part):]; len(path) == 0 {
			return qid, nil
		}
		at = num
	}
}

func (c *conn) twalk(ctx context.Context, fid, newfid uint32, names []string) ([]Qid, error) {
	cl := newCall(twalk)
	cl.enc.walk(fid, newfid, names)
	cl.newFid = newfid
	var qids []Qid
	err := c.ask(ctx, cl, func(d *decoder) {
		if qids = d.qids(len(names)); len(qids) == 0 && len(names) > 0 {
			d.fail(errors.New("no qid: an error was due"))
		}
	})
	return qids, err
}

// partial is what it means that a walk ended early, at the last of qids.
func partial(qids []Qid) error {
	errno := syscall.ENOENT
	if len(qids) > 0 && qids[len(qids)-1].Type&QTDIR == 0 {
		errno = syscall.ENOTDIR
	}
	return &Error{Op: "Twalk", Errno: errno}
}

// Walk returns a new fid at names below f; without names, a copy of f that is
// not open. A name that does not exist gives ENOENT.
func (f *Fid) Walk(ctx context.Context, names ...string) (*Fid, error) {
	if err := f.checkNames("Twalk", names...); err != nil {
		return nil, err
	}
	var g *Fid
	err := f.do(ctx, "Twalk", func(at *standing) error {
		num, qid, err := at.c.walk(ctx, at.num, names)
		if err == nil {
			g = f.walked(at, names, num, qid)
		}
		return err
	})
	return g, err
}

// WalkAttr is Walk and GetAttr, in one message where the server has one for both.
func (f *Fid) WalkAttr(ctx context.Context, names ...string) (g *Fid, a Attr, err error) {
	if err := f.checkNames("Twalk", names...); err != nil {
		return nil, a, err
	}
	both := false
	err = f.do(ctx, "Twalkgetattr", func(at *standing) error {
		num := at.c.newFid()
		var qids []Qid
		if qids, a, both, err = at.c.say.walkAttr(ctx, at.c, at.num, num, names); !both {
			at.c.freeFid(num)
			return nil
		}
		if err == nil && len(qids) < len(names) {
			err = partial(qids)
		}
		if err != nil {
			at.c.nofid(ctx, num)
			return err
		}
		qid := f.qid
		if len(names) > 0 {
			qid = a.Qid
		}
		a.Qid = qid
		g = f.walked(at, names, num, qid)
		return nil
	})
	if both || err != nil {
		return g, a, err
	}
	if g, err = f.Walk(ctx, names...); err != nil {
		return nil, a, err
	}
	if a, err = g.GetAttr(ctx); err != nil {
		g.Clunk()
		return nil, a, err
	}
	return g, a, nil
}

// Entry returns a fid of an entry of the directory f, which ReadDir told. It is
// not walked until it is used; if another file has the name by then, or none, its
// calls fail with ESTALE.
func (f *Fid) Entry(e Dirent) (*Fid, error) {
	if err := f.checkNames("Twalk", e.Name); err != nil {
		return nil, err
	}
	return f.deriveUnder(f.below(), []string{e.Name}, e.Qid), nil
}

// below is the root to which what is derived from f belongs.
func (f *Fid) below() Qid {
	if !f.isRoot {
		return f.under
	}
	if at := f.at.Load(); at != nil {
		return at.c.rootQid
	}
	return f.qid
}

// checkNames refuses names that must not be sent to a server.
func (f *Fid) checkNames(op string, names ...string) error {
	for _, n := range names {
		if !validName(n) {
			return &Error{Op: op, Path: f.Path(), Errno: syscall.EINVAL, Ename: fmt.Sprintf("%q cannot be a file's name", n)}
		}
	}
	return nil
}

// walked makes the fid of a walk that succeeded.
func (f *Fid) walked(at *standing, names []string, num uint32, qid Qid) *Fid {
	if len(names) == 0 {
		qid = f.qid
	}
	g := f.derive(at.c, names, qid)
	// moves 0: the path is looked at again before the first use. It may have
	// changed while the Twalk was under way.
	g.take(&standing{c: at.c, num: num, path: strings.Join(append(splitPath(at.path), names...), "/")})
	return g
}

func splitPath(p string) []string {
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// derive makes the fid that was walked to names below f, on c.
func (f *Fid) derive(c *conn, names []string, qid Qid) *Fid {
	return f.deriveUnder(c.rootQid, names, qid)
}

func (f *Fid) deriveUnder(root Qid, names []string, qid Qid) *Fid {
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
	return &Fid{s: f.s, name: n, qid: qid, under: root, busy: make(chan struct{}, 1)}
}
