package interop

import (
	"bytes"
	"io"
	"os"
	"syscall"

	"p9mapfs/test/p9test/pattern"
)

var ioCases = []testCase{
	{name: "what is written is read, in pieces of any size", verbs: "Tread Twrite", run: func(r *rig) {
		f := r.create("file")
		size := f.MaxIO()
		var want []byte
		for i, n := range []int{1, 7, 4096, size - 1, size, size + 1, 3*size + 7} {
			off := int64(len(want))
			part := pattern.Bytes(off, n, 1)
			if k, err := f.WriteAt(r.ctx, part, off); k != n || err != nil {
				r.Fatalf("part %d: wrote %d of %d: %v", i, k, n, err)
			}
			want = append(want, part...)
		}
		r.has("file", string(want))
		r.reads(f, string(want), 0)
		r.reads(f, string(want[5:size+9]), 5)
		g := r.open("file", syscall.O_RDONLY)
		r.reads(g, string(want), 0)
	}},
	{name: "a read at the end of the file is short and says so", verbs: "Tread", run: func(r *rig) {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDONLY)
		for _, test := range []struct {
			off  int64
			size int
			want string
		}{{0, 100, "content"}, {3, 100, "tent"}, {0, 8, "content"}, {7, 10, ""}, {1 << 40, 10, ""}, {0, 3 << 20, "content"}} {
			b := bytes.Repeat([]byte{'-'}, test.size)
			n, err := f.ReadAt(r.ctx, b, test.off)
			if string(b[:n]) != test.want || err != io.EOF {
				r.Errorf("%d at %d: %q, %v; want %q and EOF", test.size, test.off, b[:n], err, test.want)
			}
			if n < len(b) && b[n] != '-' {
				r.Errorf("%d at %d: bytes behind the count were touched", test.size, test.off)
			}
		}
		if n, err := f.ReadAt(r.ctx, make([]byte, 7), 0); n != 7 || err != nil {
			r.Errorf("read exactly to the end: %d, %v", n, err)
		}
		if n, err := f.ReadAt(r.ctx, nil, 0); n != 0 || err != nil {
			r.Errorf("read of nothing: %d, %v", n, err)
		}
	}},
	{name: "a write beyond the end leaves zeros behind", verbs: "Twrite Tread", run: func(r *rig) {
		f := r.create("file")
		r.write(f, "head", 0)
		r.write(f, "tail", 100_000)
		want := "head" + string(make([]byte, 99_996)) + "tail"
		r.reads(f, want, 0)
		r.has("file", want)
		if n, err := f.WriteAt(r.ctx, nil, 0); n != 0 || err != nil {
			r.Errorf("write of nothing: %d, %v", n, err)
		}
		r.has("file", want)
	}},
	{name: "impossible offsets are refused", verbs: "Tread Twrite", run: func(r *rig) {
		f := r.create("file")
		b := make([]byte, 10)
		r.wants(ignore(f.ReadAt(r.ctx, b, -1)), syscall.EINVAL, "read at a negative offset")
		r.wants(ignore(f.WriteAt(r.ctx, b, -1)), syscall.EFBIG, "write at a negative offset")
		r.wants(ignore(f.WriteAt(r.ctx, b, 1<<62)), syscall.EFBIG, "write at 4 EiB")
		r.has("file", "")
	}},
	{name: "sync, whole and of data only, after writes and without", verbs: "Tfsync", run: func(r *rig) {
		f := r.create("file")
		for _, datasync := range []bool{true, false} {
			r.ok(f.Sync(r.ctx, datasync))
			r.write(f, "content", 0)
			r.ok(f.Sync(r.ctx, datasync))
			r.has("file", "content")
		}
		r.ok(r.open("file", syscall.O_RDONLY).Sync(r.ctx, false))
	}},
	{name: "two fids of one file see each other's bytes and sizes", verbs: "Tread Twrite Tsetattr Tgetattr", run: func(r *rig) {
		f := r.create("file")
		g := r.open("file", syscall.O_RDWR)
		r.write(f, "from f", 0)
		r.reads(g, "from f", 0)
		r.write(g, "g", 5)
		r.reads(f, "from g", 0)
		r.ok(g.Truncate(r.ctx, 4))
		if n, err := f.ReadAt(r.ctx, make([]byte, 10), 0); n != 4 || err != io.EOF {
			r.Errorf("read %d, %v after the other fid's truncation to 4", n, err)
		}
		if a := r.attr(f); a.Size != 4 || a.Qid.Path != g.Qid().Path {
			r.Errorf("size %d, qids %+v and %+v", a.Size, a.Qid, g.Qid())
		}
		g.Clunk()
		r.write(f, "F", 0)
		r.has("file", "From")
	}},
	{name: "what others do to the file on the server is seen", verbs: "Tread Tgetattr", run: func(r *rig) {
		r.put("file", "short")
		f := r.open("file", syscall.O_RDONLY)
		r.reads(f, "short", 0)
		h, err := os.OpenFile(r.host("file"), os.O_WRONLY, 0)
		r.ok(err)
		defer h.Close()
		_, err = h.WriteAt([]byte("much longer"), 0)
		r.ok(err)
		r.reads(f, "much longer", 0)
		if a := r.attr(f); a.Size != 11 {
			r.Errorf("size %d, want 11", a.Size)
		}
	}},
}
