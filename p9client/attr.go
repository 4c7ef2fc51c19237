package p9client

import (
	"context"
	"syscall"
)

// GetAttr asks for all attributes.
func (f *Fid) GetAttr(ctx context.Context) (a Attr, err error) {
	err = f.do(ctx, "Tgetattr", func(at *standing) error {
		a, err = at.c.say.getattr(ctx, at)
		return err
	})
	return a, err
}

// SetAttr changes attributes. It may be repeated after a lost connection, for
// doing it twice is the same as once.
func (f *Fid) SetAttr(ctx context.Context, a SetAttr) error {
	if a.Valid&SetSize != 0 && a.Size < 0 {
		return &Error{Op: "Tsetattr", Path: f.Path(), Errno: syscall.EINVAL}
	}
	return f.do(ctx, "Tsetattr", func(at *standing) error { return at.c.say.setattr(ctx, at, a) })
}

// Truncate sets the file's size in bytes.
func (f *Fid) Truncate(ctx context.Context, size int64) error {
	return f.SetAttr(ctx, SetAttr{Valid: SetSize, Size: size})
}

// StatFS asks for the numbers of statfs(2).
func (f *Fid) StatFS(ctx context.Context) (s StatFS, err error) {
	err = f.do(ctx, "Tstatfs", func(at *standing) error {
		s, err = at.c.say.statfs(ctx, at)
		return err
	})
	return s, err
}

// Readlink returns the target of a symbolic link.
func (f *Fid) Readlink(ctx context.Context) (target string, err error) {
	err = f.do(ctx, "Treadlink", func(at *standing) error {
		target, err = at.c.say.readlink(ctx, at)
		return err
	})
	return target, err
}
