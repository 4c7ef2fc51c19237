package pagecache

import (
	"container/list"
	"math/bits"
	"sync"
	"sync/atomic"
)

// A page is a run of bytes of a file, being filled or resident.
type page struct {
	f   *File
	off int64
	blk *block

	// While filling, data is what was asked for; then it is what was read, and
	// does not change any more. done is closed in between.
	data []byte
	done chan struct{}
	err  error // of the fill; valid after done

	optional bool // nobody waited for it when its fill began

	// Guarded by File.mu:
	filling  bool
	detached bool // not in the tree, or not to stay in it when the fill ends

	// Guarded by Cache.mu:
	place     *list.Element // in Cache.mu.taken or fresh, nil while filling
	in        *list.List
	delivered int64 // bytes copied out so far
}

func (p *page) end() int64 { return p.off + int64(len(p.data)) }

// A block is the memory of a page. Pages that were one page once share it, and
// readers that copy from it hold it, so that it can be used again when the last
// of them lets go.
type block struct {
	buf   []byte
	refs  atomic.Int32 // pages and readers
	pages int          // of them pages; guarded by Cache.mu
}

// Blocks come in powers of two from 4 KiB to 1 MiB; longer ones are not reused.
const (
	minBlock = 12
	maxBlock = 20
)

var blocks [maxBlock - minBlock + 1]sync.Pool

func blockClass(n int64) int { return max(bits.Len64(uint64(n-1)), minBlock) - minBlock }

// blockSize is the memory that a page of n bytes takes.
func blockSize(n int64) int64 {
	if class := blockClass(n); class < len(blocks) {
		return 1 << (class + minBlock)
	}
	return n
}

// newBlock returns a block of blockSize(n) bytes of one page.
func newBlock(n int64) *block {
	class := blockClass(n)
	var b *block
	if class < len(blocks) {
		b, _ = blocks[class].Get().(*block)
	}
	if b == nil {
		b = &block{buf: make([]byte, blockSize(n))}
	}
	b.pages = 1
	b.refs.Store(1)
	return b
}

func (b *block) hold() { b.refs.Add(1) }

func (b *block) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	if class := blockClass(int64(len(b.buf))); class < len(blocks) {
		blocks[class].Put(b)
	}
}
