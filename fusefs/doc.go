// Package fusefs shows a 9P session as a FUSE file system: it maps each FUSE
// request on an inode to the packages below it, and is the only place where an
// error becomes the errno that the kernel is given.
//
// A node is what go-fuse and the kernel know; a file is what we know of the same
// qid: its fids, its dirty extents, its pages, its journal log. A file outlives
// its nodes while it holds bytes that the server lacks, and is found again by
// qid when its name is looked up again.
//
// # A fault, a store, a question
//
//	READ   handle.Read  -> pagecache.File.ReadAt -> writeback.File.ReadAt -> Tread
//	WRITE  handle.Write -> pagecache.File.WriteAt -> writeback.File.WriteAt
//	FSYNC  handle.Fsync -> writeback.File.Sync, then the handle's journal cursor
//	FLUSH  handle.Flush -> writeback.File.Drain, then the same
//
// WRITE is never answered with an error of the server: the kernel would forget
// the bytes. FSYNC and FLUSH carry the verdict, unchanged and every time.
//
// A file that the server only appends to (QTAPPEND) has none of this: see
// appendHandle.
//
// # Signals
//
// READ is not interrupted: a fault that is answered EINTR starts again, for ever
// under a profiling timer, and a killed process does not wait for it. Every other
// request ends with EINTR when its caller is about to die, or, with
// Options.Interruptible, at any signal.
//
// .ctl, whose commands may wait long, also listens to SIGINT, SIGTERM, SIGHUP and
// SIGQUIT that the caller catches, and a read of .events ends at any signal.
//
// # Magic files
//
// .errors, .events, .ctl and .stats (Options.MagicPrefix) are direct I/O and never
// cached: a LOOKUP or GETATTR of them has a timeout of 0. A write(2) to .ctl holds
// the kernel's lock of its inode while the command runs, for which open(2) with
// O_TRUNC waits, uninterruptibly; so each LOOKUP of it makes another inode. Reads of
// the two streams have no offset, and hold no lock of the kernel.
//
// What callers may see and do is judged by permit, from modes, for every line and
// file. poll(2) cannot be had: go-fuse answers POLL itself.
//
// # Attributes
//
// Ours are answered here; of the others those of user. are the server's. Without
// CAP_HANDLE_KILLPRIV_V2 the kernel would ask for security.capability before each
// write(2), half as much work again for a small one; with it, taking setuid and
// setgid bits away is our business (suid.go).
//
// # Sizes
//
// An attribute reply with a smaller size makes the kernel throw dirty mapped
// pages away without a WRITE. So every reply carries the size with our extents
// laid over it, and a size that somebody else changed is told only after the
// kernel was made to hand over its dirty pages.
//
// # Deadlocks
//
//   - Asking the kernel to invalidate pages makes it write dirty ones, and waits
//     for our answers. Only the notifier's goroutine does so, with no lock held.
//     A request may wait for it (Open does) if it holds no lock either.
//   - A command of .ctl has the kernel hand over pages like Open does, with no
//     lock of ours held.
//   - This process must not touch a mapping of its own mount.
//
// # Locks
//
//	magicNode.mu, errorsHandle.mu, ctlHandle.mu, shadows.mu    leaves
//	FS.mu          files by qid, files nobody uses
//	    file.mu    fids, handles, and what was told to the kernel
//	        (locks of the packages below)
//
// file.opening is held across the walk and open of the inode's fids. No other
// lock is held across I/O.
package fusefs
