package export

import "sync"

// Buffers for the data of Treads and Twrites, used again: making one of 1 MiB
// costs as much as filling it.
var smallBuffers, largeBuffers sync.Pool // of *[]byte

// smallBuffer is the capacity of the small ones, in bytes.
const smallBuffer = 64 << 10

// takeBuffer returns a buffer of n bytes with anything in them.
func takeBuffer(n int) *[]byte {
	pool := &largeBuffers
	if n <= smallBuffer {
		pool = &smallBuffers
	}
	if b, ok := pool.Get().(*[]byte); ok && cap(*b) >= n {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, max(n, smallBuffer))
	return &b
}

// giveBuffer takes a buffer back, which nobody may use any more.
func giveBuffer(b *[]byte) {
	if cap(*b) > smallBuffer {
		largeBuffers.Put(b)
	} else {
		smallBuffers.Put(b)
	}
}
