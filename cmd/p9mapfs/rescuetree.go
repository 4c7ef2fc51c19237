package main

import (
	"context"
	"strings"
	"syscall"

	"p9mapfs/p9client"
	"p9mapfs/rescue"
)

// A rescueTree is a session as rescue sees it.
type rescueTree struct{ session *p9client.Session }

var _ rescue.Tree = rescueTree{}

func (t rescueTree) Connect(ctx context.Context) (context.Context, error) {
	if err := t.session.WaitUp(ctx); err != nil {
		return nil, err
	}
	// A Tfsync of a later connection would not vouch for Twrites of this one.
	return p9client.AtGeneration(ctx, t.session.Link().Generation), nil
}

func (t rescueTree) Find(ctx context.Context, path string) (rescue.Remote, error) {
	fid, err := t.session.Root().Walk(ctx, strings.Split(path, "/")...)
	if err != nil {
		return nil, err
	}
	return rescueRemote{fid}, nil
}

// A rescueRemote is a fid that was walked to a file.
type rescueRemote struct{ fid *p9client.Fid }

func (r rescueRemote) Look(ctx context.Context) (f rescue.Found, err error) {
	a, err := r.fid.GetAttr(ctx)
	if err != nil {
		return f, err
	}
	q := r.fid.Qid()
	return rescue.Found{QidPath: q.Path, QidType: q.Type, Attr: rescue.Attr{
		Set: true, Version: a.Qid.Version, Size: a.Size, Mtime: a.Mtime, Ctime: a.Ctime,
	}}, nil
}

func (r rescueRemote) Open(ctx context.Context) error { return r.fid.Open(ctx, syscall.O_WRONLY) }

func (r rescueRemote) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	return r.fid.WriteAt(ctx, p, off)
}

func (r rescueRemote) Truncate(ctx context.Context, size int64) error {
	return r.fid.Truncate(ctx, size)
}

func (r rescueRemote) Sync(ctx context.Context) error { return r.fid.Sync(ctx, false) }

func (r rescueRemote) Close() { r.fid.Clunk() }
