package test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

const (
	histories    = 50
	historySteps = 5 // between two crashes
	crashes      = 6
)

// A forgetHistory is a random program on one file, beside what the file must have. Each runs on a goroutine of its own.
type forgetHistory struct {
	*rig
	rand *rand.Rand
	name string
	want []byte
	did  []string
	f, g *p9test.File // f is mapped, g is for write(2)
	kept int          // syncs that returned 0
	lost int          // and that returned EIO
	step chan<- struct{}
}

// TestPromise09_NothingIsLostInRandomHistories: stores and syncs of fifty programs at once, on a server that crashes under
// them and of which some Tfsyncs fail and some crash it. Whenever a sync returns 0 the disk has everything that
// the program stored; the program reads its own bytes all the time; and in the end everything is there.
func TestPromise09_NothingIsLostInRandomHistories(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var fail, crash []int // numbers of Tfsyncs
	for n := 1; n <= 2000; n++ {
		if random.IntN(8) == 0 {
			fail = append(fail, n)
		}
	}
	for range 2 {
		crash = append(crash, 1+random.IntN(200))
	}
	r := newRigWith(t, []p9test.Option{p9test.WithServer(p9test.Forgetful), p9test.ServeFlags(
		"--sync-fails="+numbersOf(fail), "--crash-in-sync="+numbersOf(crash))})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // seconds, where the machine is idle
	defer cancel()
	r.ctx = ctx
	l := make([]*forgetHistory, histories)
	steps := make(chan struct{}, histories*historySteps)
	for i := range l {
		h := &forgetHistory{rig: r, rand: rand.New(rand.NewPCG(seed, uint64(i)+1)), name: fmt.Sprint("f", i), want: make([]byte, forgetSize), step: steps}
		h.put(h.name, h.want)
		h.f, h.g = h.mapped(h.name), h.open(h.name, "rw")
		l[i] = h
	}
	began := time.Now()
	for range crashes {
		all := together(t, l, (*forgetHistory).some)
		for range random.IntN(histories * historySteps) {
			select {
			case <-steps:
			case <-r.ctx.Done():
			}
		}
		r.ok(r.Server.Crash(r.ctx))
		all()
		for len(steps) > 0 {
			<-steps
		}
	}
	together(t, l, (*forgetHistory).end)()
	r.ok(r.Server.Crash(r.ctx))
	kept, lost := 0, 0
	for _, h := range l {
		r.diskIs(h.name, h.want, h.String())
		kept, lost = kept+h.kept, lost+h.lost
	}
	t.Logf("%d crashes, %d syncs returned 0 and %d EIO, in %v", r.Server.Lives()-1, kept, lost, time.Since(began))
}

// together has every history do something; the function it returns waits for them, and ends the test if one went wrong.
func together(t *testing.T, l []*forgetHistory, do func(*forgetHistory) error) (wait func()) {
	var wg sync.WaitGroup
	wrong := make(chan error, len(l))
	for _, h := range l {
		wg.Go(func() {
			if err := do(h); err != nil {
				wrong <- fmt.Errorf("%v\n%w", h, err)
			}
		})
	}
	return func() {
		t.Helper()
		wg.Wait()
		select {
		case err := <-wrong:
			t.Fatalf("%v\n%s", err, l[0].journalText())
		default:
		}
	}
}

func (h *forgetHistory) String() string { return h.name + ": " + strings.Join(h.did, "; ") }

func (h *forgetHistory) note(format string, v ...any) {
	h.did = append(h.did, fmt.Sprintf(format, v...))
}

// some does some random steps.
func (h *forgetHistory) some() error {
	for range historySteps {
		if err := h.one(); err != nil {
			return err
		}
		if got, err := h.g.Pread(h.ctx, 0, 2*forgetSize); err != nil {
			return err
		} else if !bytes.Equal(got, h.want) {
			return fmt.Errorf("it reads %d bytes, want %d; they differ at %d", len(got), len(h.want), differ(got, h.want))
		}
		h.step <- struct{}{}
	}
	return nil
}

// end syncs until that returns 0, and closes.
func (h *forgetHistory) end() error {
	had := h.kept
	for try := 0; h.kept == had; try++ {
		if try == 100 {
			return fmt.Errorf("no sync returns 0")
		}
		if err := h.sync("msync"); err != nil {
			return err
		}
	}
	for _, verb := range []func() error{
		func() error { return h.f.Unmap(h.ctx) }, func() error { return h.f.Close(h.ctx) }, func() error { return h.g.Close(h.ctx) },
	} {
		if err := verb(); err != nil {
			return err
		}
	}
	return nil
}

// one does one step.
func (h *forgetHistory) one() error {
	off := h.rand.IntN(forgetSize/4) * 4
	n := min(h.rand.IntN(16<<10)+1, forgetSize-off)
	data := pattern.Bytes(int64(off), n, h.rand.Uint64N(1<<30))
	switch h.rand.IntN(8) {
	case 0, 1, 2:
		h.note("store %d at %d", n, off)
		copy(h.want[off:], data)
		return h.f.Store(h.ctx, int64(off), data)
	case 3, 4:
		h.note("write %d at %d", n, off)
		copy(h.want[off:], data)
		_, err := h.g.Pwrite(h.ctx, int64(off), data)
		return err
	case 5:
		return h.sync("msync")
	case 6:
		return h.sync("fsync")
	}
	h.note("msync async")
	_, err := h.f.Go("msync", 0, forgetSize, "async").Wait(h.ctx)
	return err
}

// sync judges what a sync returned.
func (h *forgetHistory) sync(verb string) error {
	_, err := h.f.Go(verb).Wait(h.ctx)
	h.note("%s: %v", verb, err)
	switch {
	case lostSync(err):
		h.lost++
		return nil
	case err != nil:
		return err
	}
	h.kept++
	got, err := os.ReadFile(filepath.Join(h.Dir, h.name))
	if err == nil && !bytes.Equal(got, h.want) {
		err = fmt.Errorf("the disk has %d bytes, want %d; they differ at %d", len(got), len(h.want), differ(got, h.want))
	}
	return err
}
