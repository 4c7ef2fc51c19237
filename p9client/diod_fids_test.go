package p9client_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"p9mapfs/p9client"
)

// On a real server, which knows by its path a fid that is not open: fids that
// lose their numbers all the time stand for their own file, whatever is renamed
// meanwhile, and however often the server is killed.
func TestFewFidsOnDiod(t *testing.T) {
	_, s, restart := startDiod(t, p9client.Options{BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, MaxFids: 24})
	ctx := t.Context()
	const dirs, files, rounds = 6, 12, 150
	seed := uint64(time.Now().UnixNano())
	var fids [dirs][files]*p9client.Fid
	var dir [dirs]*p9client.Fid
	size := func(d, i int) int64 { return int64(1 + d*files + i) } // tells one from another
	for d := range dirs {
		name := fmt.Sprint("d", d)
		_, err := s.Root().Mkdir(ctx, name, 0755, 0)
		check(t, err)
		dir[d], err = s.Root().Walk(ctx, name)
		check(t, err)
		for i := range files {
			f, err := dir[d].Create(ctx, fmt.Sprint("f", i), syscall.O_WRONLY, 0600, 0)
			check(t, err)
			check(t, f.Truncate(ctx, size(d, i)))
			f.Clunk()
			fids[d][i], err = dir[d].Walk(ctx, fmt.Sprint("f", i))
			check(t, err)
		}
	}
	var wg sync.WaitGroup
	var done atomic.Int64
	for d := range dirs {
		wg.Go(func() { // looks at the files
			rnd := rand.New(rand.NewPCG(seed, uint64(d)))
			for range rounds {
				i := rnd.IntN(files)
				if a, err := fids[d][i].GetAttr(ctx); err != nil || a.Size != size(d, i) {
					t.Errorf("seed %d: %s: size %d, want %d: %v", seed, fids[d][i].Path(), a.Size, size(d, i), err)
				}
				done.Add(1)
			}
		})
		wg.Go(func() { // renames the directory, and the files in it
			rnd := rand.New(rand.NewPCG(seed, uint64(dirs+d)))
			name, names := fmt.Sprint("d", d), [files]string{}
			for i := range files {
				names[i] = fmt.Sprint("f", i)
			}
			for r := range rounds / 5 {
				to := fmt.Sprintf("d%d.%d", d, r)
				if err := s.Root().Rename(ctx, name, s.Root(), to); err != nil {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
				name = to
				i := rnd.IntN(files)
				to = fmt.Sprintf("f%d.%d", i, r)
				if err := dir[d].Rename(ctx, names[i], dir[d], to); err != nil {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
				names[i] = to
			}
		})
	}
	for i := range int64(3) {
		for done.Load() < (i+1)*dirs*rounds/4 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		restart()
	}
	wg.Wait()
	for d := range dirs {
		for i := range files {
			if a, err := fids[d][i].GetAttr(ctx); err != nil || a.Size != size(d, i) {
				t.Errorf("seed %d: %s: size %d, want %d: %v", seed, fids[d][i].Path(), a.Size, size(d, i), err)
			}
			fids[d][i].Clunk()
		}
		if _, err := dir[d].Walk(ctx, "nothing"); !errors.Is(err, syscall.ENOENT) {
			t.Error(err)
		}
		dir[d].Clunk()
	}
}
