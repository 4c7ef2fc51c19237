package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"p9mapfs/p9client"
)

var walkCases = []testCase{
	{name: "attach gives the exported directory", verbs: "Tversion Tattach", run: func(r *rig) {
		a := r.attr(r.session.Root())
		if q := r.session.Root().Qid(); q.Type&p9client.QTDIR == 0 || a.Qid.Path != q.Path || a.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			r.Errorf("qid %+v, attributes %+v", q, a)
		}
		if !r.session.Link().Up {
			r.Error("the session says it is down")
		}
	}},
	{name: "the dialect is the best that the server has, or the one that was asked for", verbs: "Tversion", run: func(r *rig) {
		if d := r.session.Dialect(); d != r.server.dialect && !strings.HasPrefix(d, r.server.dialect+".") {
			r.Errorf("it is %q, want %q", d, r.server.dialect)
		}
		for _, dialect := range []string{p9client.DotL, p9client.DotU, p9client.Plain} {
			o := rootUser(r.peer)
			o.Dialect = dialect
			s, err := tryDial(r.T, r.peer, o)
			if has := dialect == r.server.dialect || dialect == p9client.Plain && r.server.dialect == p9client.DotU; has != (err == nil) {
				r.Errorf("%s: %v", dialect, err)
			}
			if err == nil && !strings.HasPrefix(s.Dialect(), dialect) {
				r.Errorf("asked for %q, got %q", dialect, s.Dialect())
			}
		}
	}},
	{name: "messages are as large as was agreed on", verbs: "Tversion", run: func(r *rig) {
		for _, msize := range []uint32{4096 + 24, 8216, 65536} {
			o := rootUser(r.peer)
			o.Msize = msize
			s := dial(r.T, r.peer, o)
			if got := s.Msize(); got > msize {
				r.Errorf("asked for %d, got %d", msize, got)
			}
			f := r.walkFrom(s.Root(), filepath.Base(r.dir))
			g, err := f.Create(r.ctx, fmt.Sprint(msize), syscall.O_RDWR, 0o644, 0)
			r.keep(g, err)
			want := strings.Repeat("0123456789abcdef", 3*int(msize)/16)
			r.write(g, want, 0)
			r.reads(g, want, 0)
			r.has(fmt.Sprint(msize), want)
		}
	}},
	{name: "attach to an unknown aname is refused", verbs: "Tattach", needs: anames, run: func(r *rig) {
		err := attachElsewhere(r)()
		var e *p9client.Error
		if !errors.As(err, &e) {
			r.Errorf("%v; want an Error of p9client", err)
		}
		r.wants(err, syscall.ENOENT, "attach to an unknown aname")
	}, refused: attachElsewhere},
	{name: "walk of no name, one, 17 and 40 names", verbs: "Twalk", run: func(r *rig) {
		names := []string{}
		path := r.dir
		for i := range 40 {
			names = append(names, fmt.Sprint("d", i))
			path = filepath.Join(path, names[i])
			r.ok(os.Mkdir(path, 0o755))
		}
		for _, n := range []int{0, 1, 16, 17, 40} {
			f := r.walk(names[:n]...)
			if a := r.attr(f); a.Qid.Path != f.Qid().Path || a.Qid.Type != p9client.QTDIR {
				r.Errorf("%d names: walked to %+v, which says it is %+v", n, f.Qid(), a.Qid)
			}
			if n > 0 && !strings.HasSuffix(f.Path(), names[n-1]) {
				r.Errorf("%d names: path %q", n, f.Path())
			}
			if n < 40 { // it is where it says: the next name is below it
				r.walkFrom(f, names[n])
			}
		}
		for _, at := range []int{0, 1, 15, 16, 17, 39} {
			wrong := append(append([]string{}, names[:at]...), "missing")
			_, err := r.top.Walk(r.ctx, append(wrong, names[at+1:]...)...)
			r.wants(err, syscall.ENOENT, "walk to a missing name")
		}
	}},
	{name: "a walk brings the attributes along", verbs: "Twalk Tgetattr", run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.put("dir/file", "content")
		for _, names := range [][]string{nil, {"dir"}, {"dir", "file"}} {
			f, a, err := r.top.WalkAttr(r.ctx, names...)
			r.keep(f, err)
			if want := r.attr(f); a.Qid.Path != f.Qid().Path || a.Mode != want.Mode || a.Size != want.Size || !a.Mtime.Equal(want.Mtime) {
				r.Errorf("%q: walked with %+v, has %+v", names, a, want)
			}
		}
		_, _, err := r.top.WalkAttr(r.ctx, "dir", "missing")
		r.wants(err, syscall.ENOENT, "walk to a missing name")
	}},
	{name: "walk through a file is refused", verbs: "Twalk", run: func(r *rig) {
		r.put("file", "")
		_, err := r.top.Walk(r.ctx, "file", "below")
		r.wants(err, syscall.ENOTDIR, "walk through a file")
		_, err = r.walk("file").Walk(r.ctx, "below")
		r.wants(err, syscall.ENOTDIR, "walk from a file")
	}},
	{name: "walk follows no symbolic link", verbs: "Twalk", needs: shownLinks, run: func(r *rig) {
		r.ok(os.Mkdir(r.host("d"), 0o755))
		r.put("d/file", "")
		r.ok(os.Symlink("d", r.host("link")))
		if q := r.walk("link").Qid(); q.Type != p9client.QTSYMLINK {
			r.Errorf("walked to %+v", q)
		}
		_, err := r.top.Walk(r.ctx, "link", "file")
		r.wants(err, syscall.ENOTDIR, "walk through a symbolic link")
	}, refused: func(r *rig) func() error {
		r.ok(os.Symlink("/nowhere", r.host("link")))
		return func() error { return ignore(r.top.Walk(r.ctx, "link")) }
	}},
	{name: "names that could leave a directory are not sent", verbs: "Twalk Tlcreate Tmkdir", run: func(r *rig) {
		for _, bad := range []string{"", ".", "..", "a/b", "/", "a\x00b"} {
			_, err := r.top.Walk(r.ctx, bad)
			r.wants(err, syscall.EINVAL, "walk to a bad name")
			_, err = r.top.Create(r.ctx, bad, syscall.O_RDWR, 0o644, 0)
			r.wants(err, syscall.EINVAL, "create of a bad name")
			_, err = r.top.Mkdir(r.ctx, bad, 0o755, 0)
			r.wants(err, syscall.EINVAL, "mkdir of a bad name")
		}
		if c := r.contents(); c != "" {
			r.Errorf("there is now\n%s", c)
		}
	}},
	{name: "a name of 256 bytes is too long", verbs: "Twalk Tlcreate Tmkdir", run: func(r *rig) {
		long := strings.Repeat("n", 256)
		_, err := r.top.Walk(r.ctx, long)
		r.wants(err, syscall.ENAMETOOLONG, "walk to a long name")
		_, err = r.top.Create(r.ctx, long, syscall.O_RDWR, 0o644, 0)
		r.wants(err, syscall.ENAMETOOLONG, "create of a long name")
		_, err = r.top.Mkdir(r.ctx, long, 0o755, 0)
		r.wants(err, syscall.ENAMETOOLONG, "mkdir of a long name")
	}},
	{name: "1500 fids at once", verbs: "Twalk Tclunk", run: func(r *rig) {
		var fids []*p9client.Fid
		for range 1500 {
			f, err := r.top.Walk(r.ctx)
			if err != nil {
				r.wants(err, 0, "a fid beside 1023 others")
				break
			}
			fids = append(fids, f)
		}
		if _, limited := r.server.answers["a fid beside 1023 others"]; limited == (len(fids) == 1500) {
			r.Errorf("there are %d", len(fids))
		}
		for _, f := range fids {
			if a := r.attr(f); a.Qid.Path != r.top.Qid().Path {
				r.Errorf("one is of %+v", a.Qid)
			}
			f.Clunk()
		}
		for range 50 { // there is room again
			r.walk()
		}
	}},
	{name: "a fid that is clunked is gone and others of its file are not", verbs: "Tclunk", run: func(r *rig) {
		r.put("file", "content")
		f, err := r.top.Walk(r.ctx, "file")
		r.ok(err)
		r.ok(f.Open(r.ctx, syscall.O_RDONLY))
		g := r.open("file", syscall.O_RDONLY)
		f.Clunk()
		f.Clunk() // does no harm
		r.reads(g, "content", 0)
	}},
}

func attachElsewhere(r *rig) func() error {
	o := rootUser(r.peer)
	o.Aname = "/no/such/tree"
	return func() error { return ignore(tryDial(r.T, r.peer, o)) }
}

// ignore drops a result that is not there if there is an error.
func ignore[T any](_ T, err error) error { return err }
