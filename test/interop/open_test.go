package interop

import (
	"io"
	"os"
	"syscall"
)

var openCases = []testCase{
	{name: "an open fid does what it was opened for", verbs: "Tlopen Tread Twrite", run: func(r *rig) {
		b := make([]byte, 3)
		r.put("file", "content")
		f := r.open("file", syscall.O_RDONLY)
		r.reads(f, "content", 0)
		if r.deviates(accessModes) {
			r.write(f, "c", 0)
		} else {
			r.wants(ignore(f.WriteAt(r.ctx, b, 0)), syscall.EBADF, "write to a fid open for reading")
		}
		f = r.open("file", syscall.O_WRONLY)
		r.write(f, "C", 0)
		if r.deviates(accessModes) {
			r.reads(f, "Content", 0)
		} else {
			r.wants(ignore(f.ReadAt(r.ctx, b, 0)), syscall.EBADF, "read of a fid open for writing")
		}
		f = r.open("file", syscall.O_RDWR)
		r.write(f, "T", 3)
		r.reads(f, "ConTent", 0)
		r.has("file", "ConTent")
	}},
	{name: "a fid that is not open cannot be read or written", verbs: "Tread Twrite", run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		b := make([]byte, 3)
		if r.deviates(unopened) {
			r.reads(f, "content", 0)
			r.write(f, "c", 0)
			return
		}
		r.wants(ignore(f.ReadAt(r.ctx, b, 0)), syscall.EBADF, "read of a fid that is not open")
		r.wants(ignore(f.WriteAt(r.ctx, b, 0)), syscall.EBADF, "write to a fid that is not open")
		r.has("file", "content")
	}},
	{name: "a fid is opened once", verbs: "Tlopen", run: func(r *rig) {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDONLY)
		r.wants(f.Open(r.ctx, syscall.O_RDWR), syscall.EBADF, "second open")
		r.reads(f, "content", 0)
	}},
	{name: "O_TRUNC empties the file once", verbs: "Tlopen", run: func(r *rig) {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDWR|syscall.O_TRUNC)
		if r.deviates(truncation) {
			r.has("file", "content")
			r.ok(f.Truncate(r.ctx, 0))
		}
		r.has("file", "")
		r.write(f, "new", 0)
		r.reads(f, "new", 0)
		r.has("file", "new")
	}},
	{name: "O_APPEND does not move what is written at an offset", verbs: "Tlopen Twrite", run: func(r *rig) {
		r.put("file", "content")
		r.write(r.open("file", syscall.O_WRONLY|syscall.O_APPEND), "C", 0)
		r.has("file", "Content")
	}},
	{name: "a directory is not opened for writing", verbs: "Tlopen", run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		for _, flags := range []uint32{syscall.O_WRONLY, syscall.O_RDWR} {
			r.wants(r.walk("dir").Open(r.ctx, flags), syscall.EISDIR, "open of a directory for writing")
		}
		f := r.open("dir", syscall.O_RDONLY)
		if err := ignore(f.ReadAt(r.ctx, make([]byte, 1000), 0)); r.deviates(dirBytes) {
			r.is(err, io.EOF)
		} else {
			r.wants(err, syscall.EISDIR, "read of a directory's bytes")
		}
	}},
	{name: "a file removed since the walk is not opened", verbs: "Tunlinkat Tlopen", run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		r.ok(r.top.Unlink(r.ctx, "file", 0))
		if err := f.Open(r.ctx, syscall.O_RDONLY); err != nil {
			r.wants(err, syscall.ENOENT, "open after removal")
		} else { // it holds the file like a descriptor
			r.reads(f, "content", 0)
		}
	}, needs: removal, refused: func(r *rig) func() error {
		r.put("file", "content")
		return func() error { return r.top.Unlink(r.ctx, "file", 0) }
	}},
	{name: "create makes a file with that mode and owner, open", verbs: "Tlcreate", run: func(r *rig) {
		for name, perm := range map[string]uint32{"plain": 0o644, "private": 0o600, "all": 0o777, "none": 0} {
			f, err := r.top.Create(r.ctx, name, syscall.O_RDWR|syscall.O_EXCL, perm, 0)
			r.keep(f, err)
			r.write(f, name, 0)
			r.reads(f, name, 0)
			r.has(name, name)
			st := r.stat(name)
			want := perm
			if r.deviates(createModes) {
				want &^= 0o22
			}
			if got := st.Mode; got != syscall.S_IFREG|want || st.Uid != 0 || st.Gid != 0 {
				r.Errorf("%s: mode %o of %d.%d, want mode %o of 0.0", name, got, st.Uid, st.Gid, want)
			}
			if a := r.attr(f); a.Qid.Path != f.Qid().Path || f.Qid().Type != 0 {
				r.Errorf("%s: created %+v, is %+v", name, f.Qid(), a.Qid)
			}
		}
	}},
	{name: "create of what exists opens it, unless it is to be new", verbs: "Tlcreate", run: func(r *rig) {
		r.put("file", "content")
		_, err := r.top.Create(r.ctx, "file", syscall.O_RDWR|syscall.O_EXCL, 0o644, 0)
		if r.deviates(exclusion) {
			r.ok(err)
		} else {
			r.wants(err, syscall.EEXIST, "exclusive create of what exists")
		}
		f, err := r.top.Create(r.ctx, "file", syscall.O_RDWR, 0o644, 0)
		r.keep(f, err)
		r.reads(f, "content", 0)
		f, err = r.top.Create(r.ctx, "file", syscall.O_RDWR|syscall.O_TRUNC, 0o644, 0)
		r.keep(f, err)
		if r.deviates(truncation) {
			r.has("file", "content")
			r.ok(f.Truncate(r.ctx, 0))
		}
		r.has("file", "")
		r.write(f, "new", 0)
		r.has("file", "new")
	}},
	{name: "create over a directory, in a file and in what was removed is refused", verbs: "Tlcreate", run: func(r *rig) {
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		_, err := r.top.Create(r.ctx, "dir", syscall.O_RDWR, 0o644, 0)
		r.wants(err, syscall.EISDIR, "create over a directory")
		r.put("file", "")
		_, err = r.walk("file").Create(r.ctx, "below", syscall.O_RDWR, 0o644, 0)
		r.wants(err, syscall.ENOTDIR, "create in a file")
		d := r.walk("dir")
		r.ok(os.Remove(r.host("dir")))
		_, err = d.Create(r.ctx, "below", syscall.O_RDWR, 0o644, 0)
		r.wants(err, syscall.ENOENT, "create in a removed directory")
	}},
	{name: "create for reading only gives a fid for reading", verbs: "Tlcreate", run: func(r *rig) {
		f, err := r.top.Create(r.ctx, "file", syscall.O_RDONLY|syscall.O_EXCL, 0o644, 0)
		r.keep(f, err)
		if r.deviates(accessModes) {
			r.write(f, "x", 0)
			return
		}
		r.wants(ignore(f.WriteAt(r.ctx, []byte("x"), 0)), syscall.EBADF, "write to a fid open for reading")
		r.has("file", "")
	}},
}
