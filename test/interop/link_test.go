package interop

import (
	"os"
	"strings"
	"syscall"

	"p9mapfs/p9client"
)

var linkCases = []testCase{
	{name: "a symbolic link says what it was told", verbs: "Tsymlink Treadlink", needs: symlinks, run: func(r *rig) {
		for name, target := range map[string]string{
			"near": "file", "up": "../../x", "far": "/no/such/place", "long": strings.Repeat("t/", 1000), "odd": "a b\n\\'\"\xff",
		} {
			qid, err := r.top.Symlink(r.ctx, name, target, 0)
			if err != nil {
				r.Errorf("%s: %v", name, err)
				continue
			}
			if got, err := os.Readlink(r.host(name)); got != target || err != nil {
				r.Errorf("%s: the server's says %.50q, %v", name, got, err)
			}
			f := r.walk(name)
			if got, err := f.Readlink(r.ctx); got != target || err != nil {
				r.Errorf("%s: read %.50q, %v", name, got, err)
			}
			if a := r.attr(f); qid.Type != p9client.QTSYMLINK || f.Qid() != qid || a.Mode&syscall.S_IFMT != syscall.S_IFLNK || a.Size != int64(len(target)) {
				r.Errorf("%s: made %+v, walked to %+v, attributes %+v", name, qid, f.Qid(), a)
			}
			_, err = r.top.Symlink(r.ctx, name, target, 0)
			if r.deviates(linkOver) {
				r.ok(err)
			} else {
				r.wants(err, syscall.EEXIST, "symlink of what exists")
			}
		}
	}, refused: func(r *rig) func() error {
		return func() error { return ignore(r.top.Symlink(r.ctx, "link", "target", 0)) }
	}},
	{name: "readlink of what is no link is refused", verbs: "Treadlink", needs: readlink, run: func(r *rig) {
		r.put("file", "")
		r.wants(ignore(r.walk("file").Readlink(r.ctx)), syscall.EINVAL, "readlink of a file")
		r.wants(ignore(r.top.Readlink(r.ctx)), syscall.EINVAL, "readlink of a directory")
	}, refused: func(r *rig) func() error {
		r.put("file", "")
		f := r.walk("file")
		return func() error { return ignore(f.Readlink(r.ctx)) }
	}},
	{name: "a symbolic link is removed and renamed, not what it says", verbs: "Tsymlink Tunlinkat Trenameat", needs: symlinks, run: func(r *rig) {
		r.put("file", "content")
		r.ok(os.Symlink("file", r.host("link")))
		r.ok(r.top.Rename(r.ctx, "link", r.top, "link 2"))
		r.has("file", "content")
		if to, err := os.Readlink(r.host("link 2")); to != "file" || err != nil {
			r.Errorf("%q, %v", to, err)
		}
		r.ok(r.top.Unlink(r.ctx, "link 2", 0))
		r.has("file", "content")
	}, refused: func(r *rig) func() error {
		return func() error { return ignore(r.top.Symlink(r.ctx, "link", "target", 0)) }
	}},
	{name: "a hard link is another name of the file", verbs: "Tlink", needs: hardLinks, run: func(r *rig) {
		r.put("file", "content")
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		f := r.walk("file")
		r.ok(r.walk("dir").Link(r.ctx, f, "name"))
		if a, g := r.attr(f), r.walk("dir", "name"); a.Nlink != 2 && !r.deviates(linkCounts) || g.Qid().Path != f.Qid().Path {
			r.Errorf("%d links, qids %+v and %+v", a.Nlink, f.Qid(), g.Qid())
		}
		r.ok(r.top.Unlink(r.ctx, "file", 0))
		g := r.walkFrom(r.walk("dir"), "name")
		r.ok(g.Open(r.ctx, syscall.O_RDONLY))
		r.reads(g, "content", 0)
		if a := r.attr(g); a.Nlink != 1 {
			r.Errorf("%d links after the removal of one of two", a.Nlink)
		}
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.walk("file")
		return func() error { return r.top.Link(r.ctx, f, "name") }
	}},
	{name: "a hard link to a directory or to a name that exists is refused", verbs: "Tlink", needs: hardLinks, run: func(r *rig) {
		r.put("file", "content")
		r.put("other", "untouched")
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.wants(r.top.Link(r.ctx, r.walk("dir"), "name"), syscall.EPERM, "link of a directory")
		r.exists("name", false)
		r.wants(r.top.Link(r.ctx, r.walk("file"), "other"), syscall.EEXIST, "link over what exists")
		r.has("other", "untouched")
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		r.put("other", "")
		f := r.walk("file")
		return func() error { return r.top.Link(r.ctx, f, "name") }
	}},
}
