package pagecache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefused = errors.New("refused")

// A memory is a Backend that counts, waits and refuses on demand.
type memory struct {
	mu       sync.Mutex
	mem      []byte
	reads    int   // calls of ReadAt
	asked    int64 // bytes they asked for
	now, max int   // of them under way

	delay  time.Duration      // of a read, before it looks at mem
	before func(off, n int64) // called by a read before it looks at mem
	after  func(off, n int64) // called by a read after it looked
	refuse func(off, n int64) error

	storing func() // called by a store or truncation before it changes mem
}

func (m *memory) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n := int64(len(p))
	m.mu.Lock()
	m.reads++
	m.asked += n
	m.now++
	m.max = max(m.max, m.now)
	before, after, refuse := m.before, m.after, m.refuse
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.now--
		m.mu.Unlock()
	}()
	if m.delay > 0 {
		select {
		case <-time.After(m.delay):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if before != nil {
		before(off, n)
	}
	if refuse != nil {
		if err := refuse(off, n); err != nil {
			return 0, err
		}
	}
	m.mu.Lock()
	k, err := bytes.NewReader(m.mem).ReadAt(p, off)
	m.mu.Unlock()
	if after != nil {
		after(off, n)
	}
	return k, err
}

func (m *memory) WriteAt(_ context.Context, p []byte, off int64) (int, error) {
	if m.storing != nil {
		m.storing()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if grow := off + int64(len(p)) - int64(len(m.mem)); grow > 0 {
		m.mem = append(m.mem, make([]byte, grow)...)
	}
	return copy(m.mem[off:], p), nil
}

func (m *memory) Truncate(_ context.Context, size int64) error {
	if m.storing != nil {
		m.storing()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mem = append([]byte(nil), append(m.mem, make([]byte, max(0, size-int64(len(m.mem))))...)[:size]...)
	return nil
}

// set changes m under its lock.
func (m *memory) set(f func(m *memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// pattern returns n bytes that tell their offset, of the given version.
func pattern(off int64, n int, version byte) []byte {
	p := make([]byte, n)
	for i := range p {
		at := off + int64(i)
		p[i] = byte(at) ^ byte(at>>8)*7 ^ byte(at>>16)*13 + version*101
	}
	return p
}

// open returns a file of size bytes in a cache of its own.
func open(t *testing.T, size int, o Options) (*File, *memory) {
	m := &memory{mem: pattern(0, size, 0)}
	c := New(o)
	t.Cleanup(c.Close)
	f := c.Open(m)
	f.SetEnd(int64(size))
	return f, m
}

// noAhead are options without read-ahead.
var noAhead = Options{ReadAhead: -1}

// expect reads n bytes at off and compares them with what m holds.
func expect(t *testing.T, f *File, m *memory, off int64, n int) {
	t.Helper()
	p := make([]byte, n)
	k, err := f.ReadAt(t.Context(), p, off)
	m.mu.Lock()
	defer m.mu.Unlock()
	want := m.mem[min(off, int64(len(m.mem))):min(off+int64(n), int64(len(m.mem)))]
	if !bytes.Equal(p[:k], want) || (err != nil) != (k < n) || err != nil && err != io.EOF {
		t.Errorf("ReadAt(%d, %d) = %d, %v; want %d bytes, equal: %t", n, off, k, err, len(want), bytes.Equal(p[:k], want))
	}
}
