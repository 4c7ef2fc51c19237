// Package pagecache keeps clean bytes of files in memory: it fills a miss once
// for all who wait for it, reads ahead, and stays inside a budget. All it holds
// may be dropped at any time; bytes that the server lacks are kept below it, by
// its Backend.
//
// A page here is a run of bytes that one fill brought, of any length: a random
// fault of 4 KiB makes a page of 4 KiB and costs no more, a sequential scan
// makes pages of up to Options.Fill bytes. Pages of a file do not overlap.
//
//   - A resident page never changes. A store goes to the Backend first and then
//     cuts what it covers out of the pages; the rest of a page stays. So readers
//     copy from pages without a lock, and a stored byte has one owner only. (The
//     kernel has the stored bytes in its own cache and seldom asks for them.)
//   - A fill belongs to the page, not to its first waiter: a waiter whose context
//     ends leaves, the fill goes on. A store, a truncation or an invalidation
//     detaches the fills it overlaps: those who wait already get what was read,
//     nobody else does.
//   - Required and optional ranges are different things. A read-ahead that fails
//     is forgotten; a reader that waited for it asks for itself. A reader that
//     joined another's fill and found the end of the file there asks again,
//     because the file may have grown since that fill began.
//   - What the kernel has taken whole is evicted first, for the kernel caches it
//     too; then what nobody has asked for yet, oldest first.
//
// # Limits
//
// The budget bounds the bytes of pages, filling ones included. Required fills
// are never refused: sixteen readers of 1 MiB each may exceed a smaller budget
// for as long as they run. Optional ones are. The memory of an evicted page that
// a reader copies from just then is not counted.
//
// # Locks
//
//	File.mu         pages and streams of one file
//	    Cache.mu    the order of eviction and the sum of bytes
//
// No lock is held across a call of the Backend. Eviction takes File.mu of its
// victim, and therefore runs with no lock held.
//
// # Goroutines
//
// Each fill is a goroutine; optional ones are at most Options.Parallel at a time.
// Close cancels and joins them all.
package pagecache
