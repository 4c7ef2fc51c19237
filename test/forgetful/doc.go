// Package forgetful serves a directory over 9P2000.L as a server with a volatile write cache does: it acknowledges
// Twrites and changes of size when it has them in memory, and puts them into the directory at a Tfsync only. When it
// crashes, whatever no Tfsync had covered is gone. The directory is its disk: what a test finds there is durable.
//
// Command serve runs it:
//
//	forgetful [--sync-fails=N,...] [--sync-errno=ENOSPC] [--crash-in-sync=N,...] DIR ADDRESS
//
// ADDRESS is tcp!host!port or unix!/path; it prints "forgetful: serving DIR on ADDRESS" on stderr when it listens.
// SIGUSR1 makes it crash: it executes itself anew, with nothing but its listener, and prints that line again. So the
// address, the process id and the connections not accepted yet stay, and everything else is lost as in a real crash,
// in the middle of whatever was being served. A SIGUSR1 while it crashes is part of that crash.
//
// Tfsyncs are counted from 1, over all files and all crashes. Those of --sync-fails do what Linux does when a write-back
// fails: the errno once (EIO, or --sync-errno), the bytes that were to be synced thrown away, and 0 ever after. Those of
// --crash-in-sync put half of the file's blocks on the disk, and crash.
//
// # What is volatile
//
// The content and size of regular files: Twrite, Tsetattr with a size, Tlopen and Tlcreate with O_TRUNC. Names, links,
// modes and owners go to the directory at once, as on a server whose metadata is journaled synchronously. Until the Tfsync, readers and
// Tgetattr see the new content and size, an mtime of the last change and a qid.version that changes with each one; afterwards the
// directory's own ctime and version. A change behind the server's back to a file with unsynced bytes is overwritten where they lie, block by block
// (4 KiB), and its size is not seen.
//
// # Limits
//
// The tree is package export's File on hugelgupf's core alone, without the detours that mend the core: opening a removed
// file, Tgetlock and xattrs fare as export's doc.go says. Tfsync's datasync is not looked at. The host is never asked to
// sync: a crash is that of this program. One descriptor stays open for each file that was ever changed, and a connection that ended leaves its
// fids, locks and one goroutine, until the next crash: told the end of its input, the core could panic (export's core.go says how). So there is no
// Close, either; the program ends by SIGTERM. It must be able to read what it may write.
//
// # Locks
//
//	Server.mu
//	image.mu    one for each file; held across the I/O on that file's part of the disk, since a Tfsync is one step to its readers
package forgetful
