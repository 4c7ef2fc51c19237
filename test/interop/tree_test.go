package interop

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"p9mapfs/p9client"
)

var treeCases = []testCase{
	{name: "mkdir makes a directory with that mode and owner", verbs: "Tmkdir", run: func(r *rig) {
		for name, perm := range map[string]uint32{"plain": 0o755, "private": 0o700, "all": 0o777} {
			qid, err := r.top.Mkdir(r.ctx, name, perm, 0)
			r.ok(err)
			st := r.stat(name)
			want := perm
			if r.deviates(createModes) {
				want &^= 0o22
			}
			if st.Mode != syscall.S_IFDIR|want || st.Uid != 0 || st.Gid != 0 {
				r.Errorf("%s: mode %o of %d.%d, want %o of 0.0", name, st.Mode, st.Uid, st.Gid, want)
			}
			if f := r.walk(name); f.Qid().Path != qid.Path || qid.Type != p9client.QTDIR {
				r.Errorf("%s: made %+v, walked to %+v", name, qid, f.Qid())
			}
		}
	}},
	{name: "mkdir of what exists and in a file is refused", verbs: "Tmkdir", run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.put("file", "")
		for _, name := range []string{"dir", "file"} {
			_, err := r.top.Mkdir(r.ctx, name, 0o755, 0)
			r.wants(err, syscall.EEXIST, "mkdir of what exists")
		}
		_, err := r.walk("file").Mkdir(r.ctx, "below", 0o755, 0)
		r.wants(err, syscall.ENOTDIR, "mkdir in a file")
	}},
	{name: "unlink removes a file and nothing else", verbs: "Tunlinkat", needs: removal, run: func(r *rig) {
		r.put("file", "")
		r.put("other", "")
		r.ok(r.top.Unlink(r.ctx, "file", 0))
		r.exists("file", false)
		r.exists("other", true)
		r.wants(r.top.Unlink(r.ctx, "file", 0), syscall.ENOENT, "unlink of a missing name")
		r.wants(ignore(r.top.Walk(r.ctx, "file")), syscall.ENOENT, "walk to a removed name")
	}, refused: func(r *rig) func() error {
		r.put("file", "")
		return func() error { return r.top.Unlink(r.ctx, "file", 0) }
	}},
	{name: "unlink does not take a directory for a file or a file for a directory", verbs: "Tunlinkat", run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.put("file", "")
		r.wants(r.walk("file").Unlink(r.ctx, "below", 0), syscall.ENOTDIR, "unlink in a file")
		if r.deviates(removalKinds) {
			r.ok(r.top.Unlink(r.ctx, "dir", 0))
			r.ok(r.top.Unlink(r.ctx, "file", unix.AT_REMOVEDIR))
			return
		}
		r.wants(r.top.Unlink(r.ctx, "dir", 0), syscall.EISDIR, "unlink of a directory")
		r.exists("dir", true)
		r.wants(r.top.Unlink(r.ctx, "file", unix.AT_REMOVEDIR), syscall.ENOTDIR, "rmdir of a file")
		r.exists("file", true)
	}},
	{name: "rmdir removes an empty directory only", verbs: "Tunlinkat", needs: removal, run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.put("dir/file", "")
		r.wants(r.top.Unlink(r.ctx, "dir", unix.AT_REMOVEDIR), syscall.ENOTEMPTY, "rmdir of a directory that is not empty")
		r.exists("dir/file", true)
		r.ok(r.walk("dir").Unlink(r.ctx, "file", 0))
		r.ok(r.top.Unlink(r.ctx, "dir", unix.AT_REMOVEDIR))
		r.exists("dir", false)
		r.wants(r.top.Unlink(r.ctx, "dir", unix.AT_REMOVEDIR), syscall.ENOENT, "rmdir of a missing name")
	}, refused: func(r *rig) func() error {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		return func() error { return r.top.Unlink(r.ctx, "dir", unix.AT_REMOVEDIR) }
	}},
	{name: "mknod makes a fifo and a socket", verbs: "Tmknod", needs: specialFiles, run: func(r *rig) {
		r.makesNodes([]node{{"fifo", syscall.S_IFIFO | 0o600, 0, 0}, {"socket", syscall.S_IFSOCK | 0o640, 0, 0}})
	}, refused: func(r *rig) func() error {
		return func() error { return ignore(r.top.Mknod(r.ctx, "fifo", syscall.S_IFIFO|0o600, 0, 0, 0)) }
	}},
	{name: "mknod makes devices", verbs: "Tmknod", needs: devices, run: func(r *rig) {
		r.makesNodes([]node{{"null", syscall.S_IFCHR | 0o604, 1, 3}, {"loop", syscall.S_IFBLK | 0o600, 7, 300}})
	}, refused: func(r *rig) func() error {
		return func() error { return ignore(r.top.Mknod(r.ctx, "null", syscall.S_IFCHR|0o600, 1, 3, 0)) }
	}},
}

type node struct {
	name               string
	mode, major, minor uint32
}

func (r *rig) makesNodes(nodes []node) {
	r.Helper()
	for _, want := range nodes {
		qid, err := r.top.Mknod(r.ctx, want.name, want.mode, want.major, want.minor, 0)
		if err != nil {
			r.Errorf("%s: %v", want.name, err)
			continue
		}
		st, f := r.stat(want.name), r.walk(want.name)
		a, dev := r.attr(f), unix.Mkdev(want.major, want.minor)
		if st.Mode != want.mode || st.Rdev != dev || a.Mode != want.mode {
			r.Errorf("%s: made with mode %o rdev %#x, told as %o, want %o %#x", want.name, st.Mode, st.Rdev, a.Mode, want.mode, dev)
		}
		if (a.Rdev != dev) != r.deviates(deviceTypes) {
			r.Errorf("%s: told as rdev %#x, want %#x", want.name, a.Rdev, dev)
		}
		if (f.Qid().Path != qid.Path) != r.deviates(deviceQids) {
			r.Errorf("%s: made %+v, walked to %+v", want.name, qid, f.Qid())
		}
		_, err = r.top.Mknod(r.ctx, want.name, want.mode, want.major, want.minor, 0)
		r.wants(err, syscall.EEXIST, "mknod of what exists")
	}
}
