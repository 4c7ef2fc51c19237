package test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

// TestExercise does random reads, writes, mapped loads and stores, truncations
// and re-openings on one file, while the connection is cut now and then, and
// compares each result with memory. In the end the server must have it all.
func TestExercise(t *testing.T) {
	servers(t, func(r *rig) {
		seed := uint64(time.Now().UnixNano())
		if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
			seed = s
		}
		t.Logf("SEED=%d", seed)
		e := &exerciser{rig: r, rnd: rand.New(rand.NewPCG(seed, 0)), name: "f"}
		r.put(e.name, nil)
		e.reopen()
		for step := range 800 {
			e.step = step
			e.one()
			if step%150 == 149 {
				r.Proxy.Cut()
			}
		}
		r.ok(e.f.Fsync(r.ctx))
		b, err := os.ReadFile(r.Dir + "/" + e.name)
		r.ok(err)
		if !bytes.Equal(b, e.want) {
			t.Errorf("the server has %d bytes, want %d; they differ at %d", len(b), len(e.want), differ(b, e.want))
		}
	}, "--hold-timeout", "30s", "--cache-size", "1MiB", "--write-behind", "4MiB")
}

const exerciseLimit = 1 << 20

type exerciser struct {
	*rig
	rnd  *rand.Rand
	name string
	f    *p9test.File
	m    int64 // bytes mapped
	want []byte
	step int
}

func (e *exerciser) reopen() {
	e.t.Helper()
	if e.f != nil {
		e.unmap()
		e.ok(e.f.Close(e.ctx))
	}
	e.f = e.open(e.name, "rw")
}

func (e *exerciser) unmap() {
	if e.m > 0 {
		e.ok(e.f.Unmap(e.ctx))
		e.m = 0
	}
}

// mapping maps what there is of the file.
func (e *exerciser) mapping() bool {
	if e.m != int64(len(e.want)) {
		e.unmap()
		if len(e.want) > 0 {
			e.ok(e.f.Map(e.ctx, 0, int64(len(e.want))))
			e.m = int64(len(e.want))
		}
	}
	return e.m > 0
}

// place picks a range; inside the file if it must be.
func (e *exerciser) place(inside bool) (off int64, n int) {
	limit := int64(exerciseLimit)
	if inside {
		limit = int64(len(e.want))
	}
	off = e.rnd.Int64N(limit)
	if e.rnd.IntN(3) == 0 {
		off &^= 4095
	}
	n = 1 + e.rnd.IntN(1<<e.rnd.IntN(17))
	return off, int(min(int64(n), limit-off))
}

func (e *exerciser) one() {
	e.t.Helper()
	switch op := e.rnd.IntN(16); {
	case op < 4:
		off, n := e.place(false)
		p := pattern.Bytes(off, n, uint64(e.step))
		_, err := e.f.Pwrite(e.ctx, off, p)
		e.ok(err)
		if grow := off + int64(n) - int64(len(e.want)); grow > 0 {
			e.want = append(e.want, make([]byte, grow)...)
		}
		copy(e.want[off:], p)
	case op < 7 && e.mapping():
		off, n := e.place(true)
		p := pattern.Bytes(off, n, uint64(e.step))
		e.ok(e.f.Store(e.ctx, off, p))
		copy(e.want[off:], p)
	case op < 10 && e.mapping():
		off, n := e.place(true)
		got, err := e.f.Load(e.ctx, off, n)
		e.ok(err)
		e.same("load", off, got, e.want[off:off+int64(n)])
	case op < 12:
		off, n := e.place(false)
		got, err := e.f.Pread(e.ctx, off, n)
		e.ok(err)
		var want []byte
		if off < int64(len(e.want)) {
			want = e.want[off:min(off+int64(n), int64(len(e.want)))]
		}
		e.same("pread", off, got, want)
	case op == 12:
		size := e.rnd.Int64N(exerciseLimit)
		e.ok(e.f.Truncate(e.ctx, size))
		if size <= int64(len(e.want)) {
			e.want = e.want[:size:size]
		} else {
			e.want = append(e.want, make([]byte, size-int64(len(e.want)))...)
		}
	case op == 13 && e.m > 0:
		e.ok(e.f.Msync(e.ctx))
	case op == 14:
		e.reopen()
	case op == 15:
		n, err := e.f.Size(e.ctx)
		e.ok(err)
		if n != len(e.want) {
			e.t.Fatalf("step %d: size %d, want %d", e.step, n, len(e.want))
		}
	}
}

func (e *exerciser) same(what string, off int64, got, want []byte) {
	e.t.Helper()
	if !bytes.Equal(got, want) {
		e.t.Fatalf("step %d: %s at %d: %d bytes, want %d; they differ at %d\n%v", e.step, what, off, len(got), len(want), differ(got, want), e.Proxy.Log())
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
