package interop

import (
	"syscall"
)

var openFidCases = []testCase{
	{name: "an open fid goes on when its file is renamed", verbs: "Tread Twrite Trenameat Tfsync Tgetattr", needs: afterRename, run: func(r *rig) {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDWR)
		r.ok(r.top.Rename(r.ctx, "file", r.top, "renamed"))
		r.reads(f, "content", 0)
		r.write(f, "C", 0)
		r.ok(f.Sync(r.ctx, false))
		a, err := f.GetAttr(r.ctx)
		r.wants(err, 0, "getattr of an open fid after its rename")
		if err == nil && (a.Size != 7 || a.Qid.Path != f.Qid().Path) {
			r.Errorf("attributes %+v of %+v", a, f.Qid())
		}
		err = f.Truncate(r.ctx, 4)
		r.wants(err, 0, "truncate of an open fid after its rename")
		if err == nil {
			r.has("renamed", "Cont")
		}
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDWR)
		r.ok(r.top.Rename(r.ctx, "file", r.top, "renamed"))
		return func() error { return ignore(f.ReadAt(r.ctx, make([]byte, 7), 0)) }
	}},
	{name: "fids go on when a directory above them is renamed", verbs: "Trenameat", run: func(r *rig) {
		a := r.mkdir("a")
		_, err := a.Mkdir(r.ctx, "b", 0o755, 0)
		r.ok(err)
		r.put("a/b/file", "content")
		r.put("a/b/other", "other")
		open, walked, dir := r.walk("a", "b", "file"), r.walk("a", "b", "other"), r.walk("a", "b")
		r.ok(open.Open(r.ctx, syscall.O_RDWR))
		r.ok(r.top.Rename(r.ctx, "a", r.top, "z"))
		if r.lacks(afterRename) {
			r.wants(ignore(open.ReadAt(r.ctx, make([]byte, 7), 0)), r.server.lacks[afterRename], "read of an open fid whose file was renamed")
		} else {
			r.reads(open, "content", 0)
			r.write(open, "C", 0)
			r.has("z/b/file", "Content")
		}
		r.ok(walked.Open(r.ctx, syscall.O_RDONLY))
		r.reads(walked, "other", 0)
		r.walkFrom(dir, "file")
		f, err := dir.Create(r.ctx, "new", syscall.O_RDWR, 0o644, 0)
		r.keep(f, err)
		r.exists("z/b/new", true)
	}},
	{name: "an open fid goes on when another file takes its name", verbs: "Trenameat Tread Twrite", needs: renameOver, run: func(r *rig) {
		r.put("file", "old content")
		r.put("new", "new content")
		f := r.open("file", syscall.O_RDWR)
		r.ok(r.top.Rename(r.ctx, "new", r.top, "file"))
		if r.deviates(fidsByPath) {
			r.reads(f, "new content", 0)
			return
		}
		r.reads(f, "old", 0)
		r.write(f, "OLD", 0)
		r.reads(f, "OLD content", 0)
		r.has("file", "new content")
		r.reads(r.open("file", syscall.O_RDONLY), "new content", 0)
	}, refused: func(r *rig) func() error {
		r.put("file", "old content")
		r.put("new", "new content")
		return func() error { return r.top.Rename(r.ctx, "new", r.top, "file") }
	}},
	{name: "an open fid goes on when its file is removed", verbs: "Tread Twrite Tunlinkat Tfsync Tgetattr Tsetattr", needs: afterUnlink, run: func(r *rig) {
		f := r.create("file")
		r.write(f, "content", 0)
		r.ok(r.top.Unlink(r.ctx, "file", 0))
		r.exists("file", false)
		r.reads(f, "content", 0)
		r.write(f, "more", 7)
		r.reads(f, "contentmore", 0)
		r.wants(f.Sync(r.ctx, false), 0, "sync of a removed file")
		a, err := f.GetAttr(r.ctx)
		r.wants(err, 0, "getattr of a removed file")
		if err == nil && a.Size != 11 {
			r.Errorf("attributes %+v", a)
		}
		r.wants(f.Truncate(r.ctx, 11), 0, "truncate of a removed file")
		// A new file of that name is another one.
		g := r.create("file")
		r.write(g, "G", 0)
		r.reads(f, "con", 0)
		r.has("file", "G")
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDWR)
		r.ok(r.top.Unlink(r.ctx, "file", 0))
		return func() error { return ignore(f.ReadAt(r.ctx, make([]byte, 7), 0)) }
	}},
	{name: "fids of both names of a file see one file", verbs: "Tlink Tread Twrite", needs: hardLinks, run: func(r *rig) {
		f := r.create("one")
		r.ok(r.top.Link(r.ctx, f, "two"))
		g := r.open("two", syscall.O_RDWR)
		r.write(f, "one", 0)
		r.reads(g, "one", 0)
		r.ok(r.top.Unlink(r.ctx, "one", 0))
		r.write(g, "two", 0)
		r.reads(f, "two", 0)
		r.has("two", "two")
	}, refused: func(r *rig) func() error {
		f := r.create("one")
		return func() error { return r.top.Link(r.ctx, f, "two") }
	}},
}
