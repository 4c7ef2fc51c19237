package pagecache

import (
	"container/list"
	"context"
	"sync"
)

// Backend is what lies below: the writeback of a file, or the file itself.
type Backend interface {
	// ReadAt is io.ReaderAt with a context: n < len(p) comes with an error,
	// io.EOF at the end of the file.
	ReadAt(ctx context.Context, p []byte, off int64) (n int, err error)
	WriteAt(ctx context.Context, p []byte, off int64) (n int, err error)
	Truncate(ctx context.Context, size int64) error
}

// Options are the limits of a Cache. Zero values mean the defaults.
type Options struct {
	Budget    int64 // bytes of pages; 64 MiB
	Fill      int64 // bytes that one fill asks for at most; 512 KiB
	ReadAhead int64 // bytes a stream may be read ahead; 0: a quarter of the budget, below 0: none
	Parallel  int   // optional fills at a time; 32
}

func (o Options) withDefaults() Options {
	if o.Budget <= 0 {
		o.Budget = 64 << 20
	}
	if o.Fill <= 0 {
		o.Fill = 512 << 10
	}
	if o.ReadAhead == 0 {
		o.ReadAhead = o.Budget / 4
	}
	o.ReadAhead = min(max(o.ReadAhead, 0), o.Budget/2)
	if o.Parallel <= 0 {
		o.Parallel = 32
	}
	return o
}

// A Cache holds the pages of all files of a mount.
type Cache struct {
	o      Options
	ctx    context.Context // of all fills; cancelled by Close
	cancel context.CancelFunc
	fills  sync.WaitGroup

	mu struct {
		sync.Mutex
		closed     bool
		bytes      int64      // of all pages, filling ones included
		optional   int        // fills under way that nobody waited for at first
		taken      *list.List // of *page: delivered whole, the first to go
		takenBytes int64      // of the pages in taken
		fresh      *list.List // of *page: oldest first
		stats      Stats
	}
}

// Stats are counters since the start, and the present use of memory.
type Stats struct {
	Bytes                  int64 // of pages now
	Hits, Misses, Joined   int64 // reads answered from pages; reads that began a fill; that waited for another's
	FillBytes, AheadBytes  int64 // asked of the backend for readers; ahead of them
	Evicted, EvictedUnread int64 // bytes; of these, never delivered
}

// New returns an empty cache.
func New(o Options) *Cache {
	c := &Cache{o: o.withDefaults()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.taken, c.mu.fresh = list.New(), list.New()
	return c
}

// Close cancels every fill and waits for them. Reads go past the cache
// afterwards.
func (c *Cache) Close() {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	c.cancel()
	c.fills.Wait()
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.stats
	s.Bytes = c.mu.bytes
	return s
}

// Open returns the pages of one file, none at first. There must be one File per
// inode.
func (c *Cache) Open(b Backend) *File {
	return &File{c: c, backend: b}
}

// count adds to the counters.
func (c *Cache) count(f func(*Stats)) {
	c.mu.Lock()
	f(&c.mu.stats)
	c.mu.Unlock()
}
