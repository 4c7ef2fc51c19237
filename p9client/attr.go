package p9client

import (
	"context"
	"math"
	"syscall"
	"time"
)

// roundTrip sends a request and decodes its reply.
func (at *standing) roundTrip(ctx context.Context, cl *call, decode func(d *decoder)) error {
	if len(cl.enc.b) > at.c.msize {
		return syscall.ENAMETOOLONG
	}
	if _, err := at.c.rpc(ctx, cl, nil); err != nil {
		return err
	}
	d := decoder{b: cl.body}
	if decode != nil {
		decode(&d)
	}
	if err := d.end(); err != nil {
		return at.c.nonsense("reply of type %d: %w", cl.want, err)
	}
	return nil
}

// GetAttr asks for all attributes.
func (f *Fid) GetAttr(ctx context.Context) (Attr, error) {
	var a Attr
	err := f.do(ctx, "Tgetattr", func(at *standing) error {
		cl := newCall(tgetattr)
		cl.enc.u32(at.num)
		cl.enc.u64(getattrAll)
		if err := at.roundTrip(ctx, cl, func(d *decoder) { a = d.attr() }); err != nil {
			return err
		}
		if a.Size < 0 {
			return at.c.nonsense("Rgetattr with a size of %d bytes", uint64(a.Size))
		}
		return nil
	})
	return a, err
}

func (d *decoder) time() time.Time {
	sec, nsec := d.u64(), d.u64()
	if sec == 0 && nsec == 0 {
		return time.Time{}
	}
	if nsec >= 1e9 || sec > math.MaxInt64 && int64(sec) < -(1<<40) || int64(sec) > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(nsec))
}

func (d *decoder) attr() (a Attr) {
	a.Valid = d.u64()
	a.Qid = d.qid()
	a.Mode, a.UID, a.GID = d.u32(), d.u32(), d.u32()
	a.Nlink, a.Rdev = d.u64(), d.u64()
	a.Size = int64(d.u64())
	a.Blksize, a.Blocks = d.u64(), d.u64()
	a.Atime, a.Mtime, a.Ctime, a.Btime = d.time(), d.time(), d.time(), d.time()
	a.Gen, a.DataVersion = d.u64(), d.u64()
	return a
}

// SetAttr changes attributes. It may be repeated after a lost connection, for
// doing it twice is the same as once.
func (f *Fid) SetAttr(ctx context.Context, a SetAttr) error {
	if a.Valid&SetSize != 0 && a.Size < 0 {
		return &Error{Op: "Tsetattr", Path: f.Path(), Errno: syscall.EINVAL}
	}
	return f.do(ctx, "Tsetattr", func(at *standing) error {
		cl := newCall(tsetattr)
		e := &cl.enc
		e.u32(at.num)
		e.u32(a.Valid)
		e.u32(a.Mode)
		e.u32(a.UID)
		e.u32(a.GID)
		e.u64(uint64(a.Size))
		e.time(a.Atime)
		e.time(a.Mtime)
		return at.roundTrip(ctx, cl, nil)
	})
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.u64(0)
		e.u64(0)
		return
	}
	e.u64(uint64(t.Unix()))
	e.u64(uint64(t.Nanosecond()))
}

// Truncate sets the file's size in bytes.
func (f *Fid) Truncate(ctx context.Context, size int64) error {
	return f.SetAttr(ctx, SetAttr{Valid: SetSize, Size: size})
}

// StatFS asks for the numbers of statfs(2).
func (f *Fid) StatFS(ctx context.Context) (StatFS, error) {
	var s StatFS
	err := f.do(ctx, "Tstatfs", func(at *standing) error {
		cl := newCall(tstatfs)
		cl.enc.u32(at.num)
		return at.roundTrip(ctx, cl, func(d *decoder) {
			s.Type, s.BlockSize = d.u32(), d.u32()
			s.Blocks, s.BlocksFree, s.BlocksAvl = d.u64(), d.u64(), d.u64()
			s.Files, s.FilesFree, s.FSID = d.u64(), d.u64(), d.u64()
			s.NameLen = d.u32()
		})
	})
	return s, err
}

// Readlink returns the target of a symbolic link.
func (f *Fid) Readlink(ctx context.Context) (string, error) {
	var target string
	err := f.do(ctx, "Treadlink", func(at *standing) error {
		cl := newCall(treadlink)
		cl.enc.u32(at.num)
		return at.roundTrip(ctx, cl, func(d *decoder) { target = d.str() })
	})
	return target, err
}
