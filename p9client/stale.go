package p9client

import (
	"context"
	"errors"
	"syscall"
)

// afresh is told that the server does not know the file of the open number at.
// Servers that go by the path also for open fids say so once the path has changed.
// It walks to where the file is now and opens it again; ok is false if it is not
// there, and then the server was right. The request is to be made again once: what
// was refused with such an error was not obeyed.
func (f *Fid) afresh(ctx context.Context, at *standing, err error) (now *standing, ok bool) {
	if !at.opened || !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ESTALE) {
		return nil, false
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return nil, false
	}
	if now := f.at.Load(); now != at { // somebody else has, or the connection is lost
		return now, now != nil && now.c == at.c
	}
	f.at.Store(nil)
	now, err = f.standAgain(ctx, at.c)
	if err != nil || now.num == at.num {
		f.at.CompareAndSwap(nil, at)
		return nil, false
	}
	f.retire(at, 1)
	return now, true
}

// Verify asks the server whether the open fid still stands for its file. On servers
// that go by the path also for open fids, it stands for another one when that has
// been given its name: then Verify fails with ESTALE, and so do later calls, unless
// the file is found by a name that Replace has given the fid.
func (f *Fid) Verify(ctx context.Context) error {
	return f.do(ctx, "Tgetattr", func(at *standing) error {
		a, err := at.c.say.getattr(ctx, at)
		if err != nil || !at.opened || a.Qid.Path == f.qid.Path {
			return err
		}
		select {
		case f.busy <- struct{}{}:
			defer func() { <-f.busy }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if f.at.CompareAndSwap(at, nil) {
			f.retire(at, 1)
		}
		return &Error{Errno: syscall.ESTALE, Ename: "another file has its name now"}
	})
}
