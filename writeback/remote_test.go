package writeback_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	errjournal "p9mapfs/errors"
	"p9mapfs/writeback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type lostError struct{}

func (lostError) Error() string      { return "connection lost" }
func (lostError) Disconnected() bool { return true }

type generationKey struct{}

func pin(ctx context.Context, g uint64) context.Context {
	return context.WithValue(ctx, generationKey{}, g)
}

// A server holds one file as a machine would: what was written is lost in a
// crash unless it was synced.
type server struct {
	mu         sync.Mutex
	disk, mem  []byte
	generation uint64
	down       bool
	refuse     func(op string, off int64, n int) error // nil: nothing is refused
	delay      func() time.Duration
	writes     []int // length of every Twrite
	syncs      int
	truncates  []int64
}

func (s *server) pause(ctx context.Context) {
	s.mu.Lock()
	d := s.delay
	s.mu.Unlock()
	if d == nil {
		return
	}
	select {
	case <-time.After(d()):
	case <-ctx.Done():
	}
}

// enter begins an operation; s.mu is held afterwards.
func (s *server) enter(ctx context.Context, op string, off int64, n int) error {
	s.pause(ctx)
	s.mu.Lock()
	if g, ok := ctx.Value(generationKey{}).(uint64); s.down || ok && g != s.generation {
		return lostError{}
	}
	if s.refuse != nil {
		return s.refuse(op, off, n)
	}
	return ctx.Err()
}

func (s *server) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	err := s.enter(ctx, "Tread", off, len(p))
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(s.mem)) {
		return 0, io.EOF
	}
	n := copy(p, s.mem[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *server) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	err := s.enter(ctx, "Twrite", off, len(p))
	defer s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.writes = append(s.writes, len(p))
	if grow := off + int64(len(p)) - int64(len(s.mem)); grow > 0 {
		s.mem = append(s.mem, make([]byte, grow)...)
	}
	copy(s.mem[off:], p)
	return len(p), nil
}

func (s *server) Truncate(ctx context.Context, size int64) error {
	err := s.enter(ctx, "Tsetattr", size, 0)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	s.truncates = append(s.truncates, size)
	s.mem = resize(s.mem, size)
	return nil
}

func (s *server) Sync(ctx context.Context) error {
	err := s.enter(ctx, "Tfsync", 0, 0)
	defer s.mu.Unlock()
	if err != nil {
		return err
	}
	s.syncs++
	s.disk = append(s.disk[:0:0], s.mem...)
	return nil
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return append([]byte(nil), b[:size]...)
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func (s *server) set(f func()) { s.mu.Lock(); f(); s.mu.Unlock() }

// A rig is a flusher with one file on a server.
type rig struct {
	*server
	t       testing.TB
	fl      *writeback.Flusher
	f       *writeback.File
	journal *errjournal.Journal
	dropped [][2]int64

	onDropped func(off, n int64) // nil: nobody above
}

func newRig(t testing.TB, o writeback.Options) *rig {
	r := &rig{server: &server{}, t: t, journal: errjournal.New(errjournal.Options{})}
	o.Pin = pin
	r.fl = writeback.New(o)
	r.f = r.fl.Open(r.server, r.journal.Log(1, "f"), func(off, n int64) {
		r.dropped = append(r.dropped, [2]int64{off, n})
		if r.onDropped != nil {
			r.onDropped(off, n)
		}
	})
	t.Cleanup(r.fl.Close)
	return r
}

// cut takes the link down; crash makes the server forget what was not synced.
func (r *rig) cut(crash bool, hold time.Duration) {
	r.set(func() {
		r.down = true
		if crash {
			r.mem = append([]byte(nil), r.disk...)
		}
	})
	l := writeback.Link{Generation: r.server.generation, Err: syscall.ETIMEDOUT}
	if hold >= 0 {
		l.HoldUntil = time.Now().Add(hold)
	}
	r.fl.SetLink(l)
}

func (r *rig) heal() {
	r.set(func() { r.down = false; r.generation++ })
	r.fl.SetLink(writeback.Link{Up: true, Generation: r.server.generation})
}

func (r *rig) write(off int64, data []byte) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	if _, err := r.f.WriteAt(ctx, data, off); err != nil {
		r.t.Fatalf("WriteAt(%d bytes, %d): %v", len(data), off, err)
	}
}

func (r *rig) sync() error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	return r.f.Sync(ctx)
}

func (r *rig) states() (l []errjournal.State) {
	for _, e := range r.journal.Entries("") {
		l = append(l, e.State)
	}
	return l
}

// await waits for a condition.
func (r *rig) await(what string, cond func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited 10 s for: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ seed
	}
	return b
}

func seed(t testing.TB) (*rand.Rand, uint64) {
	n := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		n = 0
		for _, c := range s {
			n = n*10 + uint64(c-'0')
		}
	}
	t.Logf("SEED=%d", n)
	return rand.New(rand.NewPCG(n, 1)), n
}

func refuseWith(errno syscall.Errno, ops ...string) func(string, int64, int) error {
	return func(op string, _ int64, _ int) error {
		for _, o := range ops {
			if o == op {
				return errno
			}
		}
		return nil
	}
}
