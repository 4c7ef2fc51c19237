package p9client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// maxXattr is the most that Linux lets a value, or a list of names, have: bytes.
const maxXattr = 64 << 10

// GetXattr returns the value of an extended attribute: ENODATA if there is none,
// EOPNOTSUPP where the dialect or the server has no attributes.
func (f *Fid) GetXattr(ctx context.Context, name string) ([]byte, error) {
	if !validXattr(name) {
		return nil, &Error{Op: "Txattrwalk", Path: f.Path(), Errno: syscall.EINVAL}
	}
	return f.readXattr(ctx, name)
}

// ListXattr returns the names of the extended attributes.
func (f *Fid) ListXattr(ctx context.Context) ([]string, error) {
	list, err := f.readXattr(ctx, "")
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range strings.SplitSeq(string(list), "\x00") {
		if n != "" {
			names = append(names, n)
		}
	}
	return names, nil
}

func validXattr(name string) bool {
	return name != "" && len(name) <= 255 && !strings.Contains(name, "\x00")
}

func (f *Fid) readXattr(ctx context.Context, name string) (value []byte, err error) {
	err = f.do(ctx, "Txattrwalk", func(at *standing) error {
		num, size, err := at.c.say.xattrwalk(ctx, at, name)
		if err != nil {
			return err
		}
		defer at.c.clunk(num)
		if size > maxXattr {
			return &Error{Op: "Txattrwalk", Errno: syscall.E2BIG, Ename: fmt.Sprintf("the server says %d bytes, more than Linux' %d", size, maxXattr)}
		}
		value = make([]byte, size)
		if size == 0 {
			return nil
		}
		x := &standing{c: at.c, num: num}
		n, _, err := x.readAt(ctx, value, 0, at.c.msize-ioHeaderLen)
		value = value[:n]
		return err
	})
	return value, err
}

// SetXattr sets an extended attribute; flags are setxattr(2)'s XATTR_CREATE and
// XATTR_REPLACE. 9P2000.L means removal by a value of no bytes, so that one cannot
// be set: EINVAL.
func (f *Fid) SetXattr(ctx context.Context, name string, value []byte, flags uint32) error {
	switch {
	case !validXattr(name):
		return &Error{Op: "Txattrcreate", Path: f.Path(), Errno: syscall.EINVAL}
	case len(value) == 0:
		return &Error{Op: "Txattrcreate", Path: f.Path(), Errno: syscall.EINVAL, Ename: "9P cannot set an attribute to no bytes: that would remove it"}
	case len(value) > maxXattr:
		return &Error{Op: "Txattrcreate", Path: f.Path(), Errno: syscall.E2BIG}
	}
	return f.writeXattr(ctx, name, value, flags)
}

// RemoveXattr removes an extended attribute: ENODATA if there is none.
func (f *Fid) RemoveXattr(ctx context.Context, name string) error {
	if !validXattr(name) {
		return &Error{Op: "Txattrcreate", Path: f.Path(), Errno: syscall.EINVAL}
	}
	return f.writeXattr(ctx, name, nil, xattrReplace)
}

const xattrReplace = 2 // XATTR_REPLACE

// writeXattr writes a value to a fid of its own; the Tclunk of that sets it, and
// its reply says how that went.
func (f *Fid) writeXattr(ctx context.Context, name string, value []byte, flags uint32) error {
	const op = "Txattrcreate"
	return f.once(ctx, op, func(at *standing) error {
		num, _, err := at.c.walk(ctx, at.num, nil)
		if err != nil {
			return unsent(err)
		}
		if err := at.c.say.xattrcreate(ctx, at.c, num, name, uint64(len(value)), flags); err != nil {
			at.c.clunk(num)
			return unsent(err)
		}
		x := &standing{c: at.c, num: num}
		for n := 0; n < len(value); {
			k, err := x.writeChunk(ctx, value[n:min(len(value), n+at.c.msize-ioHeaderLen)], int64(n))
			if err == nil && k == 0 {
				err = &Error{Op: op, Errno: syscall.EIO, Ename: "the server accepts no byte"}
			}
			if err != nil {
				at.c.clunk(num)
				return err
			}
			n += k
		}
		return at.c.tclunk(ctx, num)
	}, func(ctx context.Context) (fate, error) {
		now, err := f.readXattr(ctx, name)
		switch {
		case value == nil && errors.Is(err, syscall.ENODATA), err == nil && value != nil && bytes.Equal(now, value):
			return obeyed, nil
		case isLost(err):
			return unknown, err
		case flags == 0, value == nil && err == nil:
			return not, nil // to set it once more is the same as once
		}
		return unknown, nil
	})
}

// tclunk gives a fid up and waits for the answer. The number is free whatever
// that is.
func (c *conn) tclunk(ctx context.Context, num uint32) error {
	cl := newCall(tclunk)
	cl.enc.u32(num)
	answered, err := c.rpc(ctx, cl, nil)
	if answered {
		c.freeFid(num)
	}
	cl.free()
	return named(err, tclunk)
}
