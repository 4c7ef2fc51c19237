package p9client

import (
	"context"
	"syscall"
)

// The dialects, as Tversion names them.
const (
	DotL  = "9P2000.L"
	DotU  = "9P2000.u"
	Plain = "9P2000"
)

// A dialect says those verbs in which the dialects differ. Tversion, Twalk, Tread
// and Twrite of a file, Tclunk, Tremove and Tflush are the same in all of them.
// What a dialect cannot say fails with EOPNOTSUPP, or with the errno by which
// Linux' own file systems refuse it; it never succeeds in silence.
//
// A method runs on one connection and knows nothing of reconnects. Where it sends
// several T-messages and the connection is lost before the one that changes
// something, it says so (see unsent).
type dialect interface {
	String() string

	attach(ctx context.Context, c *conn, o Options) (Qid, error)

	// open takes the flags of open(2); create makes elem below at and returns the
	// number of the fid on which it is open.
	open(ctx context.Context, c *conn, num, flags uint32) (Qid, uint32, error)
	create(ctx context.Context, at *standing, elem string, flags, perm, gid uint32) (opened, error)

	getattr(ctx context.Context, at *standing) (Attr, error)
	setattr(ctx context.Context, at *standing, a SetAttr) error
	statfs(ctx context.Context, at *standing) (StatFS, error)
	sync(ctx context.Context, at *standing, datasync bool) error

	readdir(ctx context.Context, at *standing, offset uint64, count int) ([]Dirent, uint64, error)
	mkdir(ctx context.Context, at *standing, elem string, perm, gid uint32) (Qid, error)
	symlink(ctx context.Context, at *standing, elem, target string, gid uint32) (Qid, error)
	mknod(ctx context.Context, at *standing, elem string, mode, major, minor, gid uint32) (Qid, error)
	readlink(ctx context.Context, at *standing) (string, error)
	link(ctx context.Context, at, target *standing, elem string) error
	unlink(ctx context.Context, at *standing, elem string, flags uint32) error
	// rename is told whether both directories are the same one.
	rename(ctx context.Context, at *standing, oldElem string, to *standing, newElem string, same bool) error

	// walkAttr is twalk and getattr in one message; ok is false if the server has
	// none.
	walkAttr(ctx context.Context, c *conn, from, newfid uint32, names []string) (qids []Qid, a Attr, ok bool, err error)

	xattrwalk(ctx context.Context, at *standing, name string) (num uint32, size uint64, err error)
	xattrcreate(ctx context.Context, c *conn, num uint32, name string, size uint64, flags uint32) error
	lock(ctx context.Context, at *standing, l Lock) (LockStatus, error)
	getlock(ctx context.Context, at *standing, l Lock) (Lock, error)
}

// opened is what an open or a create gives.
type opened struct {
	num    uint32
	qid    Qid
	iounit uint32
}

// ask sends a request and decodes its reply. An error of the server names the
// T-message.
func (c *conn) ask(ctx context.Context, cl *call, decode func(d *decoder)) error {
	typ := cl.want - 1
	defer cl.free()
	if len(cl.enc.b) > c.msize {
		return &Error{Op: messageName(typ), Errno: syscall.ENAMETOOLONG}
	}
	if _, err := c.rpc(ctx, cl, nil); err != nil {
		return named(err, typ)
	}
	d := decoder{b: cl.body}
	if decode != nil {
		decode(&d)
	}
	if err := d.end(); err != nil {
		return c.nonsense("%s: %w", messageName(cl.want), err)
	}
	return nil
}

// named puts the T-message into an error of the server.
func named(err error, typ uint8) error {
	if e, ok := err.(*Error); ok && e.Op == "" {
		e.Op = messageName(typ)
	}
	return err
}

// nonsense gives the connection up because of a reply that makes no sense.
func (c *conn) nonsense(format string, a ...any) error {
	err := protocolError(format, a...)
	c.lose(err)
	return &lostError{cause: err}
}

// nofid is a request's end that leaves it open whether num came to exist.
func (c *conn) nofid(ctx context.Context, num uint32) {
	if ctx.Err() != nil { // it may exist, or come to exist
		c.clunk(num)
	} else {
		c.freeFid(num)
	}
}
