// Package errjournal remembers, per file, every flush that failed and every
// page fault that could not be served: for the verdicts of fsync and close,
// for the magic file .errors, and for people and programs that read it.
//
// The directory is called errors, because that is what it holds; the package
// is called errjournal, so that "errors" in Go code is always the standard
// library. Import it by its name:
//
//	import errjournal "p9mapfs/errors"
//
// The package is public on purpose and imports nothing else of p9mapfs: any
// Go program can read a .errors file with [Parse].
//
// # The line
//
// A record is one line of logfmt with its keys in this order:
//
//	seq=12 time=2026-11-23T15:04:05.123Z state=failed op=Twrite file="lib/words" off=4096 len=8192 errno=ENOSPC msg="file system full" tries=3
//
// seq numbers the matter, not the line: when its state changes the entry is
// issued again under the same seq. time is the time of the last change (RFC
// 3339, UTC, milliseconds). op is the 9P message that failed. file is the
// path below the mount's root, without a leading slash, and msg the server's
// own words, both quoted as by [strconv.Quote], so that a hostile name cannot
// forge a line. off and len are bytes. errno is a name, or a number where the
// name is unknown; 0 means none. tries counts the attempts. A dropped entry
// also has sum=crc32c:xxxxxxxx, the checksum of the bytes that are gone. Keys
// may be added at the end in later versions; none of these will go or move.
// Lines that begin with # are comments.
//
// # States
//
//	pending     trouble with the connection: bytes held, retried with back-off
//	failed      refused by the server: bytes held, retried slowly, on fsync and on request
//	conflict    the server's file changed underneath: bytes held, nothing is sent
//	resolved    the server has the bytes
//	superseded  newer stores replaced the bytes before they were sent
//	dropped     the bytes are gone
//	fault       a read failed; there were no bytes to hold
//
// The first three are open ([State.Open]): the bytes are held and the matter
// waits. They are no losses; whoever holds the bytes computes the verdict for
// them. Dropped is a loss, and the journal sees to it that it is told.
//
// # Cursors
//
// A [Cursor] is made at open(2) and asked at fsync and close. The rule is that
// of the kernel's errseq_t (Documentation/core-api/errseq.rst), one fact with
// many readers: every cursor that exists when a loss happens is told of it
// exactly once. A loss that no cursor was ever told is unseen, and a cursor
// made later starts before it, so that the next to open the file hears of it.
// Unlike errseq, whose unseen bit dies with the inode, this one belongs to
// the Journal, is found again by qid.path, and does not depend on the entry:
// the bounds may forget the line, never the loss.
//
// # Following
//
// A [Follower] is given every record and every change of one, in the order in
// which they happened, the same seq again with its new state:
//
//	f := j.Follow()
//	for {
//		entries, missed, err := f.Next(ctx) // or <-f.Ready(), then f.Take()
//		...
//		b = AppendGap(b, missed)
//		for _, e := range entries {
//			b, err = e.AppendText(b)
//			b = append(b, '\n')
//		}
//	}
//
// The newest [Options].Events changes of the mount are kept, once for all
// followers; one that falls further behind is told how many it missed, and
// [AppendGap] says that in a comment line. To see what was before, take
// [Journal.Follow] first and [Journal.WriteBelow] then: a change between the
// two shows twice, never not at all.
//
// # Lives
//
// [Journal.Log] hands out a reference, [Log.Close] gives it back. A Log with
// neither references, entries nor unseen losses is pruned by itself. Hold the
// reference as long as its cursors are used.
//
// # Limits
//
// The journal is memory: it ends with the daemon. It keeps [Options].PerFile
// entries a file and PerMount in all. Beyond that it forgets settled entries
// first, those settled longest ago before others, then losses, and open ones
// only when nothing else is left; how many went, and how many of these were open
// or losses, is counted and said in a comment line for the file or directory that
// is asked about. A forgotten entry is issued no more. Counts of files that are
// themselves forgotten are kept for 1024 paths, after that for directories
// above them ("up to N more"). Files with an unseen loss are never forgotten,
// so their number bounds the memory they take. A message is cut to 1024
// bytes. Identical faults in a row are one entry with growing tries.
//
// A file with several hard links is listed under the name by which it was
// last looked up. A file without a name is listed under its last one, which
// a rename of the directory above does not touch.
//
// # Locks
//
//	Journal.mu    all state of the Journal, its Logs and its Cursors
//
// There is one mutex, a leaf: no other lock is taken and no I/O is done while
// it is held, so every method may be called from a flush worker under locks of
// its own. Record and Update take constant time; Rename, Removed, Entries and
// the writers take time in proportion to what is remembered, and what is
// written is a copy. The one way to deadlock: the function given to
// [Log.Update] runs under the lock and must not call the journal. The package
// starts no goroutine and needs no Close.
package errjournal
