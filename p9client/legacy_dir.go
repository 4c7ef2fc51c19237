package p9client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// A dirCursor is how far a directory was read on one connection: read(5) lets a
// Tread go on there, or begin anew, and nothing else.
type dirCursor struct {
	busy chan struct{} // capacity 1: held while entries are read, Treads included
	at   uint64
}

// readdir reads whole entries from offset on. Where the last reading of this fid
// did not end there, it begins anew and passes over what comes before.
func (l legacy) readdir(ctx context.Context, at *standing, offset uint64, count int) ([]Dirent, uint64, error) {
	cur := at.dir
	switch {
	case !at.opened:
		return nil, 0, &Error{Op: "Tread", Errno: syscall.EBADF, Ename: "the directory is not open"}
	case cur == nil: // a file's bytes would be taken for entries
		return nil, 0, &Error{Op: "Tread", Errno: syscall.ENOTDIR}
	}
	select {
	case cur.busy <- struct{}{}:
		defer func() { <-cur.busy }()
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
	pos := cur.at
	if pos != offset {
		pos = 0
	}
	for {
		entries, next, err := l.readEntries(ctx, at, pos, count)
		if err != nil {
			cur.at = 0 // it may have been read or not
			return nil, 0, err
		}
		cur.at = next
		if next == pos { // the end, also if offset was beyond it
			return nil, offset, nil
		}
		if pos = next; pos > offset {
			return entriesAfter(entries, offset), next, nil
		}
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
	}
}

// entriesAfter returns the entries that end beyond offset.
func entriesAfter(entries []Dirent, offset uint64) []Dirent {
	for i, e := range entries {
		if e.Offset > offset {
			return entries[i:]
		}
	}
	return nil
}

// readEntries sends one Tread of a directory. Its Rread has whole entries.
func (l legacy) readEntries(ctx context.Context, at *standing, pos uint64, count int) (entries []Dirent, next uint64, err error) {
	buf := make([]byte, count)
	cl, err := at.sendRead(ctx, buf, int64(pos), false)
	if err != nil {
		return nil, 0, err
	}
	_, err = at.c.wait(ctx, cl)
	n := cl.n
	cl.free()
	if err != nil {
		return nil, 0, named(err, tread)
	}
	d := decoder{b: buf[:n]}
	for len(d.b) > 0 {
		s := d.stat(l.unix)
		if d.err == nil {
			d.fail(s.check())
		}
		if d.err != nil {
			return nil, 0, at.c.nonsense("Rread of a directory: %w", d.err)
		}
		if validName(s.name) {
			a := s.attr(l.ids, l.unix)
			entries = append(entries, Dirent{
				Qid: s.qid, Offset: pos + uint64(n-len(d.b)), Type: uint8(a.Mode >> 12), Name: s.name, Attr: &a,
			})
		}
	}
	return entries, pos + uint64(n), nil
}

// special makes something that is not a file, by a Tcreate whose fid is given up.
func (l legacy) special(ctx context.Context, at *standing, elem string, perm uint32, extension string) (Qid, error) {
	o, err := l.tcreate(ctx, at, elem, perm, oread, extension)
	if err == nil {
		at.c.clunk(o.num)
	}
	return o.qid, err
}

func (l legacy) mkdir(ctx context.Context, at *standing, elem string, perm, _ uint32) (Qid, error) {
	p, err := l.permission(perm)
	if err != nil {
		return Qid{}, err
	}
	return l.special(ctx, at, elem, dmDir|p, "")
}

func (l legacy) symlink(ctx context.Context, at *standing, elem, target string, _ uint32) (Qid, error) {
	if !l.unix {
		return Qid{}, l.refuses("symbolic links")
	}
	return l.special(ctx, at, elem, dmSymlink|0777, target)
}

// refuses is the answer to what Linux' file systems refuse with EPERM where they
// lack it: link, symlink and mknod.
func (l legacy) refuses(what string) error {
	return &Error{Errno: syscall.EPERM, Ename: fmt.Sprintf("%v has no %s", l, what)}
}

func (l legacy) mknod(ctx context.Context, at *standing, elem string, mode, major, minor, _ uint32) (Qid, error) {
	perm, err := l.permission(mode)
	if err != nil {
		return Qid{}, err
	}
	extension := ""
	switch typ := mode & syscall.S_IFMT; {
	case typ == syscall.S_IFREG || typ == 0:
	case !l.unix:
		return Qid{}, l.refuses("devices")
	case typ == syscall.S_IFIFO:
		perm |= dmNamedPipe
	case typ == syscall.S_IFSOCK:
		perm |= dmSocket
	case typ == syscall.S_IFBLK, typ == syscall.S_IFCHR:
		perm |= dmDevice
		letter := 'c'
		if typ == syscall.S_IFBLK {
			letter = 'b'
		}
		extension = fmt.Sprintf("%c %d %d", letter, major, minor)
	default:
		return Qid{}, &Error{Op: "Tcreate", Errno: syscall.EINVAL}
	}
	return l.special(ctx, at, elem, perm, extension)
}

func (l legacy) link(ctx context.Context, at, target *standing, elem string) error {
	if !l.unix {
		return l.refuses("hard links")
	}
	_, err := l.special(ctx, at, elem, dmLink, fmt.Sprint(target.num))
	return err
}

func (legacy) unlink(ctx context.Context, at *standing, elem string, flags uint32) error {
	return at.remove(ctx, elem, flags)
}

// rename is a Twstat of the name, which cannot leave the directory.
func (l legacy) rename(ctx context.Context, at *standing, oldElem string, _ *standing, newElem, aside string, same bool) error {
	switch {
	case !same:
		return &Error{Op: "Twstat", Errno: syscall.EXDEV, Ename: fmt.Sprintf("%v cannot move a file to another directory", l)}
	case oldElem == newElem:
		return nil
	}
	num, qid, err := at.c.walk(ctx, at.num, []string{oldElem})
	if err != nil {
		return unsent(err)
	}
	defer at.c.clunk(num)
	err = l.renameFid(ctx, at.c, num, newElem)
	if errnoOf(err) == syscall.EEXIST {
		return l.replace(ctx, at, num, qid, newElem, aside)
	}
	return err
}

func (l legacy) renameFid(ctx context.Context, c *conn, num uint32, name string) error {
	s := dontTouch()
	s.name = name
	return l.twstat(ctx, c, num, s)
}

// replace gives the file of num the name of another, on servers that refuse it
// while the other is there: that is set aside first, so that nothing is lost if
// the server refuses after all. For a moment nothing has the name, so that who is
// interrupted then goes on for a moment too.
func (l legacy) replace(ctx context.Context, at *standing, num uint32, qid Qid, name, aside string) error {
	old, oldQid, err := at.c.walk(ctx, at.num, []string{name})
	if err != nil {
		return unsent(err)
	}
	switch isDir, wasDir := qid.Type&QTDIR != 0, oldQid.Type&QTDIR != 0; {
	case qid.same(oldQid): // two names of one file: rename(2) does nothing
		at.c.clunk(old)
		return nil
	case !isDir && wasDir:
		err = syscall.EISDIR
	case isDir && !wasDir:
		err = syscall.ENOTDIR
	case isDir: // only an empty one may be replaced, and only Tremove can tell
		if err = at.c.tremove(ctx, old); err != nil {
			return err
		}
		return l.renameFid(ctx, at.c, num, name)
	}
	if err != nil {
		at.c.clunk(old)
		return &Error{Op: "Twstat", Errno: err.(syscall.Errno)}
	}
	ctx, cancel := overtime(ctx)
	defer cancel()
	if err := l.renameFid(ctx, at.c, old, aside); err != nil {
		at.c.clunk(old)
		return err
	}
	if err := l.renameFid(ctx, at.c, num, name); err != nil {
		if !isLost(err) {
			if back := l.renameFid(ctx, at.c, old, name); back != nil && !isLost(back) {
				err = &Error{Op: "Twstat", Errno: syscall.EIO, Ename: fmt.Sprintf("%v; and %q, which was to be replaced, could not be given its name back: %v", err, name, back)}
			}
		}
		at.c.clunk(old)
		return err
	}
	at.c.tremove(ctx, old) // if that fails, a hidden name stays
	return nil
}

// overtimeLimit is how long a context of overtime outlives the other one.
const overtimeLimit = time.Second

// overtime returns a context that ends a while after ctx has.
func overtime(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil { // nothing was begun
		return ctx, func() {}
	}
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(overtimeLimit, func() { cancel(context.Cause(ctx)) })
	})
	return late, func() { stop(); cancel(nil) }
}

// asideName is a name that nothing has.
func asideName() string { return ".p9mapfs." + rand.Text()[:10] }

func (l legacy) tidy(ctx context.Context, at *standing, aside, name string) error {
	num, _, err := at.c.walk(ctx, at.num, []string{aside})
	if err != nil { // mostly because nothing was set aside
		return err
	}
	taken, _, err := at.c.walk(ctx, at.num, []string{name})
	if errors.Is(err, syscall.ENOENT) {
		err = l.renameFid(ctx, at.c, num, name)
		at.c.clunk(num)
		return err
	}
	if err != nil {
		at.c.clunk(num)
		return err
	}
	at.c.clunk(taken)
	return at.c.tremove(ctx, num)
}
