package p9client

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// flap cuts the connections again and again, in times between 2 and 100 ms, but
// not for ever, until stop is called, which returns how often.
func (s *server) flap(seed uint64) (stop func() int) {
	end, ended := make(chan struct{}), make(chan int)
	go func() {
		rnd := rand.New(rand.NewPCG(seed, 0))
		for cuts := 0; ; cuts++ {
			var next <-chan time.Time
			if cuts < 100 {
				next = time.After(time.Duration(2+rnd.IntN(99)) * time.Millisecond)
			}
			select {
			case <-next:
				s.cut()
			case <-end:
				ended <- cuts
				return
			}
		}
	}()
	return func() int { close(end); return <-ended }
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 100,000 fids, a link that is cut all the time: every one is usable in the end.
// What was found again is not walked twice on a connection, and there is one dial
// for each loss.
func TestHundredThousandFidsAndAFlappingLink(t *testing.T) {
	const files, callers = 100_000, 512
	s := startServer(t)
	s.quick = true
	x := s.dial(Options{MaxFids: -1})
	paths := s.grow(files)
	before := heap()
	fids := walkAll(t, x, paths)
	walked := heap()
	s.cut()

	seed := uint64(time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	walks, began := s.count(twalk), time.Now()
	stop := s.flap(seed)
	each(files, callers, func(i int) {
		err := error(nil)
		if i%8 == 0 {
			err = isItself(ctx, fids[i])
		} else { // walked, and its qid compared
			err = fids[i].do(ctx, "nothing", func(*standing) error { return nil })
		}
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	})
	took, cuts := time.Since(began), stop()
	walks = s.count(twalk) - walks
	after := heap()
	t.Logf("%v, %d cuts, %d Twalks for %d fids; bytes a fid: %d when walked, %d at the end",
		took.Round(time.Millisecond), cuts, walks, files, (walked-before)/files, (after-before)/files)
	if most := files + (cuts+1)*callers; walks > most {
		t.Errorf("seed %d: %d Twalks, with %d cuts under %d calls there may be %d", seed, walks, cuts, callers, most)
	}
	if after > before+2*(walked-before) {
		t.Errorf("seed %d: %d bytes of heap before, %d when all was walked, %d at the end", seed, before, walked, after)
	}
	s.mu.Lock()
	if s.dials > cuts+2 {
		t.Errorf("seed %d: %d dials for %d losses", seed, s.dials, cuts+1)
	}
	s.mu.Unlock()
	runtime.KeepAlive(fids)
}

// All callers at once wait for the connection, which comes and goes; each gets
// its answer.
func TestManyCallersWaitOnAFlappingLink(t *testing.T) {
	s := startServer(t)
	s.quick = true
	x := s.dial(Options{MaxFids: 500})
	fids := walkAll(t, x, s.grow(2000))
	s.stop()
	eventually(t, "the loss is noticed", func() bool { return !x.Link().Up })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var waiting atomic.Int64
	done := make(chan error, 1)
	go func() {
		each(len(fids), len(fids), func(i int) {
			waiting.Add(1)
			if err := isItself(ctx, fids[i]); err != nil {
				t.Error(err)
			}
		})
		done <- nil
	}()
	eventually(t, "all wait", func() bool { return waiting.Load() == int64(len(fids)) })
	s.listen()
	stop := s.flap(1)
	within(t, time.Minute, done)
	stop()
}

// A server that ends every connection at once is dialed at growing intervals.
func TestBackOffOfAServerThatKeepsFailing(t *testing.T) {
	for _, test := range []struct {
		name string
		typ  uint8
	}{{"before Rversion", tversion}, {"after Rattach", tattach}} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t)
			x := s.dial(Options{BackoffMax: 40 * time.Millisecond})
			dials := make(chan time.Time, 10_000)
			s.setHook(func(p *peer, m msg) bool {
				if m.typ != test.typ {
					return false
				}
				dials <- time.Now()
				if m.typ == tattach {
					p.obey(m)
				}
				p.nc.Close()
				return true
			})
			s.cut()
			var first, last time.Time
			for i := range 20 {
				select {
				case last = <-dials:
				case <-time.After(30 * time.Second):
					t.Fatal("dials no more")
				}
				if i == 0 {
					first = last
				}
			}
			// 1 ms, half as much more each time, 40 ms from the tenth on; less 30 % of jitter.
			if d := last.Sub(first); d < 300*time.Millisecond {
				t.Errorf("20 dials in %v", d)
			}
			s.setHook(nil)
			eventually(t, "connected again", func() bool { return x.Link().Up })
		})
	}
}

func TestBackOffHasJitter(t *testing.T) {
	const most = time.Second
	b := Options{BackoffMin: time.Millisecond, BackoffMax: most}.backOff()
	different := map[time.Duration]bool{}
	for i := range 50 {
		switch d := b.NextBackOff(); {
		case d <= 0 || d > most*13/10:
			t.Errorf("%d: %v", i, d)
		case i >= 20 && d < most*7/10:
			t.Errorf("%d: %v does not grow", i, d)
		default:
			different[d] = true
		}
	}
	if len(different) < 45 {
		t.Errorf("%d different intervals of 50", len(different))
	}
}
