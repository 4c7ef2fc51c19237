package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"

	"p9mapfs/p9client"
	"p9mapfs/test/p9test/pattern"
)

const workers = 64

var parallelCases = []testCase{
	{name: "64 readers and writers of one file", verbs: "Tread Twrite", run: func(r *rig) {
		const part, rounds = 100_000, 4
		shared := r.create("file")
		r.inParallel(func(w int) error {
			rnd := rand.New(rand.NewPCG(7, uint64(w)))
			f := shared
			if w%2 == 0 { // half of them through fids of their own
				g, err := r.top.Walk(r.ctx, "file")
				if err != nil {
					return err
				}
				defer g.Clunk()
				if err := g.Open(r.ctx, syscall.O_RDWR); err != nil {
					return err
				}
				f = g
			}
			base := int64(w * part)
			got := make([]byte, part)
			for round := range rounds {
				seed := uint64(w*rounds + round)
				for off := 0; off < part; {
					n := min(1+rnd.IntN(part/3), part-off)
					if k, err := f.WriteAt(r.ctx, pattern.Bytes(base+int64(off), n, seed), base+int64(off)); k != n || err != nil {
						return fmt.Errorf("round %d: wrote %d of %d: %w", round, k, n, err)
					}
					off += n
				}
				if n, err := f.ReadAt(r.ctx, got, base); n != part || err != nil {
					return fmt.Errorf("round %d: read %d: %w", round, n, err)
				}
				if at := pattern.Check(got, base, seed); at >= 0 {
					return fmt.Errorf("round %d: wrong byte at %d", round, at)
				}
			}
			return nil
		})
		if st := r.stat("file"); st.Size != workers*part {
			r.Errorf("size %d, want %d", st.Size, workers*part)
		}
		for w := range workers {
			got := make([]byte, part)
			n, err := shared.ReadAt(r.ctx, got, int64(w*part))
			if n != part || err != nil || pattern.Check(got, int64(w*part), uint64(w*rounds+rounds-1)) >= 0 {
				r.Errorf("worker %d's part at the end: %d, %v, or other bytes", w, n, err)
			}
		}
	}},
	{name: "64 at once make, fill, rename, list and remove", verbs: "Tunlinkat Tlcreate Twrite Trenameat Treaddir", needs: removal, run: func(r *rig) {
		passing := r.deviates(passingNames) // asked here: it might not come to it
		r.inParallel(func(w int) error {
			for round := range 4 {
				if err := r.lifeOfAFile(fmt.Sprintf("w%d r%d", w, round), passing); err != nil {
					return err
				}
			}
			return nil
		})
		if c := r.contents(); c != "" {
			r.Errorf("left:\n%s", c)
		}
	}, refused: func(r *rig) func() error {
		r.put("file", "")
		return func() error { return r.top.Unlink(r.ctx, "file", 0) }
	}},
	{name: "64 exclusive creates of one name give one file", verbs: "Tlcreate", run: func(r *rig) {
		var mu sync.Mutex // guards made
		var made []*p9client.Fid
		r.inParallel(func(int) error {
			f, err := r.top.Create(r.ctx, "file", syscall.O_RDWR|syscall.O_EXCL, 0o644, 0)
			if err != nil {
				if r.deviates(exclusion) {
					return err
				}
				r.wants(err, syscall.EEXIST, "exclusive create of what exists")
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			made = append(made, f)
			return nil
		})
		if (len(made) == 1) == r.deviates(exclusion) {
			r.Errorf("%d of them succeeded", len(made))
		}
		for _, f := range made {
			f.Clunk()
		}
	}},
}

// inParallel runs the workers and reports the first error of each.
func (r *rig) inParallel(work func(w int) error) {
	r.Helper()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			if err := work(w); err != nil {
				r.Errorf("worker %d: %v", w, err)
			}
		})
	}
	wg.Wait()
}

// isPassing reports an error that is declared for Treaddir under passingNames.
func isPassing(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EAGAIN)
}

// lifeOfAFile lists too; that may be ENOENT if names that pass are a reason for it.
func (r *rig) lifeOfAFile(name string, passing bool) error {
	f, err := r.top.Create(r.ctx, name, syscall.O_RDWR|syscall.O_EXCL, 0o644, 0)
	if err != nil {
		return err
	}
	defer f.Clunk()
	if _, err := f.WriteAt(r.ctx, []byte(name), 0); err != nil {
		return err
	}
	if err := r.top.Rename(r.ctx, name, r.top, name+" renamed"); err != nil {
		return err
	}
	b := make([]byte, len(name))
	n, err := f.ReadAt(r.ctx, b, 0)
	if gone, lost := r.server.lacks[afterRename]; lost && errors.Is(err, gone) {
		err = nil
		b = []byte(name)
	}
	if err != nil || string(b) != name {
		return fmt.Errorf("%s: read %q: %w", name, b[:n], err)
	}
	d, err := r.top.Walk(r.ctx)
	if err != nil {
		return err
	}
	defer d.Clunk()
	if err := d.Open(r.ctx, syscall.O_RDONLY); err != nil {
		return err
	}
	if _, _, err := d.ReadDir(r.ctx, 0, 4096); err != nil && !(passing && isPassing(err)) {
		return err
	}
	return r.top.Unlink(r.ctx, name+" renamed", 0)
}
