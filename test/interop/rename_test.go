package interop

import (
	"os"
	"strings"
	"syscall"
)

var renameCases = []testCase{
	{name: "rename to a free name", verbs: "Trenameat", run: func(r *rig) {
		r.put("old", "content")
		f := r.walk("old")
		r.ok(r.top.Rename(r.ctx, "old", r.top, "new"))
		r.exists("old", false)
		r.has("new", "content")
		if !strings.HasSuffix(f.Path(), "/new") || r.walk("new").Qid().Path != f.Qid().Path {
			r.Errorf("path %q, qid %+v", f.Path(), f.Qid())
		}
		r.wants(ignore(r.top.Walk(r.ctx, "old")), syscall.ENOENT, "walk to a renamed name")
		r.ok(f.Open(r.ctx, syscall.O_RDWR)) // walked by the old name
		r.reads(f, "content", 0)
	}},
	{name: "rename over a file replaces it", verbs: "Trenameat", needs: renameOver, run: func(r *rig) {
		r.put("old", "content")
		r.put("new", "replaced")
		r.ok(r.top.Rename(r.ctx, "old", r.top, "new"))
		r.exists("old", false)
		r.has("new", "content")
	}, refused: func(r *rig) func() error {
		r.put("old", "content")
		r.put("new", "replaced")
		return func() error { return r.top.Rename(r.ctx, "old", r.top, "new") }
	}},
	{name: "rename of a directory over an empty one replaces it", verbs: "Trenameat", needs: renameOver, run: func(r *rig) {
		r.ok(os.MkdirAll(r.host("old", "below"), 0o755))
		r.ok(os.Mkdir(r.host("new"), 0o755))
		r.ok(r.top.Rename(r.ctx, "old", r.top, "new"))
		r.exists("old", false)
		r.exists("new/below", true)
	}, refused: func(r *rig) func() error {
		r.ok(os.MkdirAll(r.host("old", "below"), 0o755))
		r.ok(os.Mkdir(r.host("new"), 0o755))
		return func() error { return r.top.Rename(r.ctx, "old", r.top, "new") }
	}},
	{name: "rename over what must not be replaced is refused", verbs: "Trenameat", run: func(r *rig) {
		r.ok(os.MkdirAll(r.host("full", "below"), 0o755))
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.put("file", "content")
		r.wants(r.top.Rename(r.ctx, "dir", r.top, "full"), syscall.ENOTEMPTY, "rename over a directory that is not empty")
		r.wants(r.top.Rename(r.ctx, "file", r.top, "dir"), syscall.EISDIR, "rename of a file over a directory")
		r.wants(r.top.Rename(r.ctx, "dir", r.top, "file"), syscall.ENOTDIR, "rename of a directory over a file")
		r.wants(r.top.Rename(r.ctx, "missing", r.top, "file"), syscall.ENOENT, "rename of a missing name")
		r.wants(r.top.Rename(r.ctx, "file", r.top, strings.Repeat("n", 256)), syscall.ENAMETOOLONG, "rename to a long name")
		for _, bad := range []string{"", "..", "a/b"} {
			r.wants(r.top.Rename(r.ctx, "file", r.top, bad), syscall.EINVAL, "rename to a bad name")
		}
		r.exists("full/below", true)
		r.exists("dir", true)
		r.has("file", "content")
	}},
	{name: "rename to the same name changes nothing", verbs: "Trenameat", run: func(r *rig) {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDWR)
		r.wants(r.top.Rename(r.ctx, "file", r.top, "file"), 0, "rename to the same name")
		r.has("file", "content")
		r.reads(f, "content", 0)
	}},
	{name: "rename to another directory", verbs: "Trenameat", needs: renameAcross, run: func(r *rig) {
		r.ok(os.MkdirAll(r.host("from", "dir"), 0o755))
		r.ok(os.Mkdir(r.host("to"), 0o755))
		r.put("from/dir/file", "content")
		from, to, file := r.walk("from"), r.walk("to"), r.walk("from", "dir", "file")
		r.ok(from.Rename(r.ctx, "dir", to, "dir 2"))
		r.has("to/dir 2/file", "content")
		r.exists("from/dir", false)
		if !strings.HasSuffix(file.Path(), "to/dir 2/file") {
			r.Errorf("path of what is below: %q", file.Path())
		}
		r.ok(file.Open(r.ctx, syscall.O_RDWR))
		r.reads(file, "content", 0)
		r.ok(r.walk("to", "dir 2").Rename(r.ctx, "file", r.top, "file"))
		r.has("file", "content")
	}, refused: func(r *rig) func() error {
		r.ok(os.MkdirAll(r.host("from", "dir"), 0o755))
		r.ok(os.Mkdir(r.host("to"), 0o755))
		from, to := r.walk("from"), r.walk("to")
		return func() error { return from.Rename(r.ctx, "dir", to, "dir 2") }
	}},
	{name: "rename of a directory below itself is refused", verbs: "Trenameat", needs: renameAcross, run: func(r *rig) {
		r.ok(os.MkdirAll(r.host("dir", "below"), 0o755))
		r.wants(r.top.Rename(r.ctx, "dir", r.walk("dir", "below"), "x"), syscall.EINVAL, "rename of a directory below itself")
		r.exists("dir/below", true)
		r.walk("dir", "below")
	}, refused: func(r *rig) func() error {
		r.ok(os.MkdirAll(r.host("dir", "below"), 0o755))
		r.ok(os.Mkdir(r.host("to"), 0o755))
		to := r.walk("to")
		return func() error { return r.top.Rename(r.ctx, "dir", to, "x") }
	}},
}
