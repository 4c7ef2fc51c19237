// Package writeback keeps every byte of a file that the server has not made
// durable, sends it, and says honestly what became of it.
//
// A store arrives as WriteAt and becomes an extent. The extent lives until a
// Tfsync that was sent after its Rwrite has been answered without error; a
// refusal or a lost connection changes its state, never its bytes:
//
//	            WriteAt
//	               |
//	               v       chosen by the scheduler
//	+---------> dirty -------------------------------> in flight
//	|              ^                                    |  |  |
//	|              +------- connection lost ------------+  |  |
//	|  retry, fsync                                        |  |
//	|  or the retry interval                               |  |
//	+---------- failed <---------- refused ----------------+  |
//	|              ^                                          | Rwrite
//	|              +------- Tfsync refused ------+            v
//	+----- connection lost ----------------------+------- unstable
//	                                                          | Tfsync
//	                                                          v
//	any state -- stored again, truncated, abandoned -------> gone
//	any but in flight -- discarded ------------------------> gone
//
// With Options.Trust there is no unstable state: an Rwrite leads to gone.
//
// An extent that is dirty, in flight or failed counts against Options.Budget;
// an unstable one against Options.Unstable. "Pending" is not a state but a
// word of the journal: dirty bytes which wait for a connection.
//
// # Rules
//
//   - The newest store wins. An extent is cut where a newer one overlaps it;
//     what a Twrite in flight carries is then sent in vain, and the newer bytes
//     wait until that Twrite has been answered, because a 9P server may reorder
//     two that overlap.
//   - A Tfsync covers the extents whose Rwrite had arrived when it was sent. One
//     that fails is never repeated by itself: what it covered is sent again
//     first (servers report a lost write once and say 0 afterwards).
//   - A new generation of the connection makes every unstable extent dirty
//     again: the server may have crashed. All I/O is pinned to the generation
//     this package knows of (Options.Pin), so that no Tfsync of a new
//     connection vouches for Twrites of an old one.
//   - A truncation is unstable like an extent and is sent again before the
//     extents of its file. What was acknowledged before it is sent again becomes
//     dirty, for it may be cut off; the server's bytes are believed only up to
//     where it cuts.
//   - Reads see the extents laid over the server's bytes, but not those that the
//     server has acknowledged on the present connection: somebody else may have
//     written since.
//   - A Tfsync that nobody asked for is sent for unstable bytes that are old, for
//     files without handles soon, and when the unstable bytes of all files
//     exceed what arrives during two Tfsyncs, as measured, but not before
//     Options.Unstable: first for files without handles, then for those with
//     most. At twice that WriteAt waits.
//   - A Discard drops what was stored before it, after the Twrites that carry
//     some of it have been answered, and keeps others from starting meanwhile.
//     Newer stores outlive it. The journal knows of each loss before the bytes
//     are gone for Sync.
//   - Order between a store and a Truncate, a Discard or a Sync is that of the
//     file's epoch, which each of these ends.
//   - An error of the server is never the answer to WriteAt; it is the answer to
//     Sync and Drain, every time, until it is resolved. WriteAt fails only where
//     its own bytes cannot be kept; these are then recorded as dropped.
//
// # Joints
//
// Below is a Remote, above sits a page cache which sees the same ReadAt,
// WriteAt and Truncate. The single upward call is the dropped function given
// to Open; it is called without any lock held.
//
// # Locks
//
//	File.mu            extents, truncation, flights, records of one file
//	    Flusher.mu     files in the queue, link, sums, pace, waiters for room
//	        (errjournal's own locks)
//
// No lock is held across a call of Remote. File.truncating is the one thing
// that waits for I/O: it serialises truncations of a file.
//
// # Goroutines
//
// One scheduler owns the queue and decides what is sent; Options.Workers
// workers do I/O and nothing else. A Tfsync in flight has a goroutine of its own,
// one per file at most, and of those that nobody asked for four at once. Close
// joins them all.
package writeback
