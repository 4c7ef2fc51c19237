package test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

// A forgetHistory is a random program on one file, beside what the file must have.
type forgetHistory struct {
	*rig
	rand  *rand.Rand
	name  string
	want  []byte
	did   []string
	f, g  *p9test.File // f is mapped, g is for write(2)
	syncs int          // that returned 0
}

// TestPromise09_NothingIsLostInRandomHistories: stores, syncs and crashes, on a server of which some Tfsyncs fail and some crash
// it. Whenever a sync returns 0 the disk has everything; the program sees its own bytes all the time.
func TestPromise09_NothingIsLostInRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var fails, crashes []int
	for n := range 1000 {
		switch random.IntN(12) {
		case 0:
			fails = append(fails, n+1)
		case 1:
			crashes = append(crashes, n+1)
		}
	}
	r := newRigWith(t, []p9test.Option{p9test.WithServer(p9test.Forgetful),
		p9test.ServeFlags("--sync-fails="+numbersOf(fails), "--crash-in-sync="+numbersOf(crashes))})
	began, syncs := time.Now(), 0
	for n := range uint64(50) {
		h := &forgetHistory{rig: r, rand: rand.New(rand.NewPCG(seed, n+1)), name: fmt.Sprint("f", n), want: make([]byte, forgetSize)}
		h.run()
		syncs += h.syncs
	}
	t.Logf("%d crashes, %d syncs that returned 0, %v", r.Server.Lives()-1, syncs, time.Since(began))
}

func (h *forgetHistory) String() string { return h.name + ": " + strings.Join(h.did, "; ") }

func (h *forgetHistory) step(format string, v ...any) {
	h.did = append(h.did, fmt.Sprintf(format, v...))
}

func (h *forgetHistory) run() {
	h.put(h.name, h.want)
	h.f, h.g = h.mapped(h.name), h.open(h.name, "rw")
	for range 12 {
		h.one()
		got, err := h.g.Pread(h.ctx, 0, 2*forgetSize)
		if h.must(err); !bytes.Equal(got, h.want) {
			h.t.Fatalf("%v\nreads %d bytes, want %d; they differ at %d", h, len(got), len(h.want), differ(got, h.want))
		}
	}
	for try := 0; h.sync("msync") != nil; try++ {
		if try == 50 {
			h.t.Fatalf("%v\nno sync returns 0\n%s", h, h.journalText())
		}
	}
	h.must(h.f.Unmap(h.ctx))
	h.must(h.f.Close(h.ctx))
	h.must(h.g.Close(h.ctx))
	h.must(h.Server.Crash(h.ctx))
	h.diskIs(h.name, h.want, h.String())
}

// one does one step.
func (h *forgetHistory) one() {
	off, n := h.rand.IntN(forgetSize/4)*4, h.rand.IntN(16<<10)+1
	n = min(n, forgetSize-off)
	seed := h.rand.Uint64N(1 << 30)
	switch h.rand.IntN(10) {
	case 0, 1, 2:
		h.step("store %d at %d", n, off)
		h.must(h.f.Fill(h.ctx, int64(off), int64(n), seed))
		copy(h.want[off:], pattern.Bytes(int64(off), n, seed))
	case 3, 4:
		h.step("write %d at %d", n, off)
		_, err := h.g.Pwrite(h.ctx, int64(off), pattern.Bytes(int64(off), n, seed))
		h.must(err)
		copy(h.want[off:], pattern.Bytes(int64(off), n, seed))
	case 5:
		h.sync("msync")
	case 6:
		h.sync("fsync")
	case 7:
		h.step("msync async")
		_, err := h.f.Go("msync", 0, forgetSize, "async").Wait(h.ctx)
		h.must(err)
	case 8:
		h.step("crash")
		h.must(h.Server.Crash(h.ctx))
	case 9:
		h.step("crash while")
		call := h.f.Go("msync")
		h.must(h.Server.Crash(h.ctx))
		_, err := call.Wait(h.ctx)
		h.verdict("msync", err)
	}
}

func (h *forgetHistory) sync(verb string) error {
	_, err := h.f.Go(verb).Wait(h.ctx)
	h.verdict(verb, err)
	return err
}

// verdict judges what a sync returned.
func (h *forgetHistory) verdict(verb string, err error) {
	h.t.Helper()
	h.step("%s: %v", verb, err)
	if err == nil {
		h.syncs++
		h.diskIs(h.name, h.want, h.String())
	} else if !lostSync(err) {
		h.t.Fatalf("%v\n%s", h, h.journalText())
	}
}

func (h *forgetHistory) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%v\n%v\n%s", h, err, h.journalText())
	}
}
