package interop

import (
	"io"
	"os"
	"syscall"

	"p9mapfs/test/p9test/pattern"
)

var largeCases = []testCase{
	{name: "files over 4 GiB, read and written across 2 and 4 GiB", verbs: "Tread Twrite Tgetattr Tsetattr", run: func(r *rig) {
		const size = 5<<30 + 12345
		f := r.create("file")
		r.ok(f.Truncate(r.ctx, size))
		if a := r.attr(f); a.Size != size || r.stat("file").Size != size {
			r.Fatalf("size %d, the server's %d, want %d", a.Size, r.stat("file").Size, int64(size))
		}
		host, err := os.Open(r.host("file"))
		r.ok(err)
		defer host.Close()
		const n = 300_000
		for _, at := range []int64{0, 1<<31 - n/2, 1<<32 - n/2, size - n} {
			want := pattern.Bytes(at, n, 2)
			if k, err := f.WriteAt(r.ctx, want, at); k != n || err != nil {
				r.Fatalf("wrote %d of %d at %d: %v", k, n, at, err)
			}
			r.reads(f, string(want), at)
			got := make([]byte, n)
			if _, err := host.ReadAt(got, at); err != nil || pattern.Check(got, at, 2) >= 0 {
				r.Errorf("at %d the server has other bytes, %v", at, err)
			}
		}
		// What was written at one place has not come out at another, 4 GiB away.
		r.reads(f, string(make([]byte, n)), 1<<30)
		r.reads(f, string(pattern.Bytes(0, n, 2)), 0)
		b := make([]byte, 100)
		if k, err := f.ReadAt(r.ctx, b, size-50); k != 50 || err != io.EOF || pattern.Check(b[:k], size-50, 2) >= 0 {
			r.Errorf("read %d, %v at the end", k, err)
		}
		r.ok(f.Truncate(r.ctx, 1<<32+5))
		if a := r.attr(f); a.Size != 1<<32+5 {
			r.Errorf("size %d after a truncation to 4 GiB and 5 bytes", a.Size)
		}
	}},
	{name: "a write behind a terabyte", verbs: "Twrite Tread", run: func(r *rig) {
		f := r.create("file")
		const off = 1 << 40
		r.write(f, "far out", off)
		r.reads(f, "far out", off)
		if a := r.attr(f); a.Size != off+7 {
			r.Errorf("size %d", a.Size)
		}
		r.reads(r.open("file", syscall.O_RDONLY), "far out", off)
	}},
}
