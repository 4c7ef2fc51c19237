package p9client_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"p9mapfs/p9client"
)

// Many goroutines write and read one file, each its own part, some with contexts
// that end in the middle; every byte that was acknowledged is there.
func TestManyAtOnceOnDiod(t *testing.T) {
	dir, s, restart := startDiod(t, p9client.Options{BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond})
	ctx := t.Context()
	f, err := s.Root().Create(ctx, "f", syscall.O_RDWR, 0600, 0)
	check(t, err)
	const workers, rounds, part = 64, 3, 70_000
	work := func(name string, interrupts, losses bool) {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(w)))
				p, b := make([]byte, part), make([]byte, part)
				for round := range rounds {
					n := 1 + rnd.IntN(part)
					for i := range p[:n] {
						p[i] = byte(rnd.Uint32())
					}
					for {
						ictx, cancel := ctx, func() {}
						if interrupts && rnd.IntN(2) == 0 {
							ictx, cancel = context.WithTimeoutCause(ctx, time.Duration(rnd.IntN(3000))*time.Microsecond, context.Canceled)
						}
						_, err := f.WriteAt(ictx, p[:n], int64(w*part))
						cancel()
						var e *p9client.Error
						if err == nil {
							break
						}
						if !interrupts || !errors.Is(err, syscall.EINTR) {
							if !losses || !errors.As(err, &e) || !e.Disconnected() {
								t.Errorf("%s: worker %d round %d: write: %v", name, w, round, err)
								return
							}
							time.Sleep(time.Millisecond)
						}
					}
					if k, err := f.ReadAt(ctx, b[:n], int64(w*part)); k != n || err != nil || !bytes.Equal(b[:n], p[:n]) {
						t.Errorf("%s: worker %d round %d: read %d of %d: %v", name, w, round, k, n, err)
						return
					}
				}
				if err := onServer(dir, b[:1], int64(w*part)); err != nil || b[0] != p[0] {
					t.Errorf("%s: the server has other bytes of worker %d: %v", name, w, err)
				}
			})
		}
		if losses {
			restart()
		}
		wg.Wait()
	}
	work("quiet", false, false)
	work("interrupted", true, false)
	work("lost", false, true)
	f.Clunk()
}

func onServer(dir string, b []byte, off int64) error {
	f, err := os.Open(filepath.Join(dir, "f"))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(b, off)
	return err
}
