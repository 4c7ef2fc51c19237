package pagecache

import (
	"context"
	"math"
	"sync"

	"github.com/tidwall/btree"
)

// A File holds the pages of one file.
type File struct {
	c       *Cache
	backend Backend

	mu      sync.Mutex // guards what follows
	pages   btree.Map[int64, *page]
	streams streams
	end     int64 // where the file is believed to end, for read-ahead only
}

// SetEnd tells where the file is believed to end. Nothing is read ahead beyond;
// a reader who asks for more gets it all the same.
func (f *File) SetEnd(end int64) {
	f.mu.Lock()
	f.end = end
	f.mu.Unlock()
}

// WriteAt writes to the backend and forgets the bytes that were there.
func (f *File) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := f.backend.WriteAt(ctx, p, off)
	f.mu.Lock()
	if n > 0 {
		f.end = max(f.end, off+int64(n))
	}
	f.mu.Unlock()
	f.Invalidate(off, int64(len(p)))
	return n, err
}

// Truncate sets the size in the backend and forgets what the change concerns.
func (f *File) Truncate(ctx context.Context, size int64) error {
	err := f.backend.Truncate(ctx, size)
	f.mu.Lock()
	from := min(size, f.end)
	if err == nil {
		f.end = size
	}
	f.mu.Unlock()
	f.Invalidate(from, math.MaxInt64-from)
	return err
}

// Invalidate forgets n bytes at off. Fills of them that are under way end in
// vain, except for those who wait for them already.
func (f *File) Invalidate(off, n int64) {
	end := off + n
	if end < off {
		end = math.MaxInt64
	}
	var gone []*block
	f.mu.Lock()
	for _, p := range f.overlappingLocked(off, end) {
		f.pages.Delete(p.off)
		p.detached = true
		if p.filling {
			continue // its fill drops the block
		}
		if p.off < off {
			f.keepLocked(p, p.off, off)
		}
		if p.end() > end {
			f.keepLocked(p, end, p.end())
		}
		f.c.unlist(p)
		gone = append(gone, p.blk)
	}
	f.mu.Unlock()
	f.c.drop(gone...)
}

// keepLocked makes a page of [off, end) of p, which was taken out of the tree.
func (f *File) keepLocked(p *page, off, end int64) {
	q := &page{f: f, off: off, blk: p.blk, data: p.data[off-p.off : end-p.off], done: p.done}
	q.blk.hold()
	f.pages.Set(off, q)
	f.c.enlist(q, p)
}

// Close forgets all pages. Fills under way end in vain.
func (f *File) Close() { f.Invalidate(0, math.MaxInt64) }

// overlappingLocked returns the pages that share a byte with [off, end).
func (f *File) overlappingLocked(off, end int64) []*page {
	var l []*page
	start := off
	f.pages.Descend(off, func(_ int64, p *page) bool {
		if p.end() > off {
			start = p.off
		}
		return false
	})
	f.pages.Ascend(start, func(_ int64, p *page) bool {
		if p.off >= end {
			return false
		}
		l = append(l, p)
		return true
	})
	return l
}
