package fusefs

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"

	"p9mapfs/p9client"
)

// Our own attributes of regular files. Whoever may read the file may read them:
// the kernel asks for that before it asks us. prefixAttr is on directories too
// and is not listed: it tells programs how the magic files are called.
const (
	ownAttrs   = "user.p9mapfs."
	errorsAttr = ownAttrs + "errors"
	stateAttr  = ownAttrs + "state"
	prefixAttr = ownAttrs + "prefix"
)

// maxXattr is the longest value that Linux takes, in bytes.
const maxXattr = 64 << 10

// passed reports whether an attribute is the server's business. The names outside
// of user. mean something to the server's own system, or are asked for by the
// kernel at every turn (security.capability, at each write).
func passed(name string) bool { return strings.HasPrefix(name, "user.") }

// own is the value of one of our attributes.
func (n *node) own(name string) (value []byte, errno syscall.Errno) {
	switch {
	case name == prefixAttr:
		return []byte(n.fsys.o.MagicPrefix), 0
	case n.f.wb == nil:
	case name == errorsAttr:
		return lines(n.f.log, maxXattr), 0
	case name == stateAttr:
		return []byte(n.f.state()), 0
	}
	return nil, syscall.ENODATA
}

// state says how many bytes the server lacks: "clean", or one or more of dirty=N,
// failed=N (refused) and unstable=N (acknowledged, but not durable).
func (f *file) state() string {
	held, failed, unstable := f.wb.Held()
	var l []string
	for _, s := range []struct {
		name string
		n    int64
	}{{"dirty", held - failed}, {"failed", failed}, {"unstable", unstable}} {
		if s.n > 0 {
			l = append(l, fmt.Sprintf("%s=%d", s.name, s.n))
		}
	}
	switch {
	case len(l) > 0:
		return strings.Join(l, " ")
	case !f.wb.Clean(): // a truncation
		return "dirty=0"
	}
	return "clean"
}

// foreignXattrs remembers the generation of the connection, plus one, on which the
// server said that it has no attributes.
type foreignXattrs struct{ none atomic.Uint64 }

// ask asks the server, unless it said on this connection that it has none.
func (n *node) ask(ctx context.Context, question func(ctx context.Context, fid *p9client.Fid) error) syscall.Errno {
	l := n.fsys.session.Link()
	if l.Up && n.fsys.foreign.none.Load() == l.Generation+1 {
		return syscall.EOPNOTSUPP
	}
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	n.f.mu.Lock()
	fid := n.f.fid
	n.f.mu.Unlock()
	errno := toErrno(question(ctx, fid))
	if errno == syscall.ENOSYS { // the kernel would take it for an answer about all files
		errno = syscall.EOPNOTSUPP
	}
	if errno == syscall.EOPNOTSUPP && n.f.key.typ&p9client.QTSYMLINK == 0 { // Linux has none of user. on symbolic links
		n.fsys.foreign.none.Store(l.Generation + 1)
	}
	return errno
}

func (n *node) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if strings.HasPrefix(name, ownAttrs) {
		value, errno := n.own(name)
		if errno != 0 {
			return 0, errno
		}
		return give(value, dest)
	}
	if name == "security.capability" {
		return 0, syscall.ENODATA
	}
	if !passed(name) {
		return 0, syscall.EOPNOTSUPP
	}
	var value []byte
	errno := n.ask(ctx, func(ctx context.Context, fid *p9client.Fid) (err error) {
		value, err = fid.GetXattr(ctx, name)
		return err
	})
	if errno != 0 {
		return 0, errno
	}
	return give(value, dest)
}

// give is what getxattr(2) and listxattr(2) want: the size, with ERANGE if it is
// more than there is room for.
func give(value, dest []byte) (uint32, syscall.Errno) {
	if len(value) > len(dest) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}

// Listxattr lists ours even if the server cannot be asked.
func (n *node) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	var list []byte
	if n.f.wb != nil {
		list = append(list, errorsAttr+"\x00"+stateAttr+"\x00"...)
	}
	n.ask(p9client.WithoutHold(ctx), func(ctx context.Context, fid *p9client.Fid) error {
		names, err := fid.ListXattr(p9client.WithoutHold(ctx))
		for _, name := range names {
			if passed(name) && !strings.HasPrefix(name, ownAttrs) && len(list)+len(name) < maxXattr {
				list = append(list, name+"\x00"...)
			}
		}
		return err
	})
	return give(list, dest)
}

func (n *node) Setxattr(ctx context.Context, name string, value []byte, flags uint32) syscall.Errno {
	if strings.HasPrefix(name, ownAttrs) {
		return syscall.EPERM
	}
	if !passed(name) {
		return syscall.EOPNOTSUPP
	}
	return n.ask(ctx, func(ctx context.Context, fid *p9client.Fid) error {
		return fid.SetXattr(ctx, name, value, flags)
	})
}

func (n *node) Removexattr(ctx context.Context, name string) syscall.Errno {
	if strings.HasPrefix(name, ownAttrs) {
		return syscall.EPERM
	}
	if !passed(name) {
		return syscall.EOPNOTSUPP
	}
	return n.ask(ctx, func(ctx context.Context, fid *p9client.Fid) error { return fid.RemoveXattr(ctx, name) })
}
