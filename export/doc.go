// Package export serves one directory as 9P2000.L: the embedded server of
// p9mapfs. The protocol core is github.com/hugelgupf/p9's p9.NewServer; the
// [File] under it is ours, and knows every verb.
//
// # What it promises
//
//   - It never leaves DIR. Every name is one component, looked up with
//     openat(O_PATH|O_NOFOLLOW) below a directory descriptor; names with '/' or
//     NUL, "", "." and ".." are EINVAL; a symlink is an object to be read, never
//     a road. There are no path strings to swap under a request.
//   - Errors are the host's errno, exactly. (An Errno of package syscall would
//     not do: the core takes EPERM for EACCES and ENOTEMPTY for EEXIST, because
//     errors.Is does.)
//   - Only regular files and directories are opened: a fifo, a device or a socket
//     is ENXIO, so nobody can hang or drive the server with one.
//   - A file that is open survives rename and removal.
//   - Modes come out as asked: what the process's umask took away is given back
//     with a chmod of the new object. The umask itself is never touched, it
//     belongs to the whole process. Where the parent has a default ACL the
//     kernel's answer stands.
//   - As root, a new object belongs to the uid and gid the client named (Tucreate
//     and friends), else to the n_uname of its Tattach; in a setgid directory the
//     group is the directory's. Otherwise the server's own identity is kept.
//   - qid.path is st_ino, mixed with st_dev on other devices than DIR's.
//     qid.version is never 0: a hash of ctime, mtime and size. Two changes that
//     keep the size and fall into one tick of the file system's clock look alike
//     where ctime is coarse (1 to 10 ms: kernels before 6.13, and later ones on
//     other file systems than ext4, btrfs, xfs and tmpfs).
//
// # Limits
//
// The server acts with its own rights: permission bits are not judged per
// attached user. Whoever can connect is believed; use a unix socket (0600 by
// default) or a tunnel. No blocking locks: a Tlock that must wait is answered
// "blocked", as the Linux client expects. A lock belongs to its fid (an OFD
// lock, so local programs see it); pid and client name are not kept apart on one
// fid. "." and ".." are not listed. A directory that somebody with rights on the
// host moves out of DIR stays reachable through fids already on it.
//
// A connection has at most 1048576 fids, where each directory on the way of a Twalk
// counts as one more (EMFILE); 256 requests and 64 MiB of data are being served at
// once. Descriptors of open fids are bounded by RLIMIT_NOFILE only, for all
// connections together (EMFILE). A second Tversion ends the connection. At its end
// what was asked before is answered, for 10 s; a system call that takes longer is
// left behind, and ends when it will.
//
// From the core: no authentication; requests of one connection run in parallel;
// Tflush waits for the old request, which is not cancelled; rename between two
// names of one file is 0 but spoils fids walked by the second name; what would
// change the entries of a directory that was removed is EINVAL; Tremove of a
// directory is EISDIR (Tunlinkat does both); every name ever walked, made or
// unlinked costs a few hundred bytes until the connection ends; one error is for a
// whole Twalk, never a partial Rwalk; a Twalk of an open fid onto itself makes it
// one that is not open.
//
// # The detour
//
// Each connection passes through a [conn], which reads and writes the core's
// frames. It answers Tflush itself, since the core's Rflush can overtake the reply
// it waits for (p9/server.go:538 of 0.3.0 clears the tag, 543 sends), and two that
// name each other wait for ever (p9/handlers.go:118). These verbs the core spoils
// before a p9.File could see them, or after:
//
//	Tlopen      EINVAL for a file of which any name was removed (handlers.go:317),
//	            and for symlinks and sockets (322)
//	Tread       takes a buffer of msize for 4 KiB too (714), and fills what it
//	            sent with zeros (messages.go:1075)
//	Twrite      makes a buffer of zeros for each (transport.go:217): 1 MiB then
//	            costs both ends 550 us of CPU, not 180; 64 KiB 57 us, not 27
//	Treaddir    EINVAL unless the core itself has opened the fid (handlers.go:1052)
//	Tsetattr    loses the setuid and setgid bits (p9.go:1072); EINVAL for a file
//	            that was removed (handlers.go:948)
//	Tfsync      loses datasync (messages.go:1685); holds the lock that every
//	            rename of the connection needs, and behind a waiting rename every
//	            other verb (handlers.go:1078, server.go:359): so do Tread and Twrite
//	Tgetlock    unknown
//	Txattrwalk  EINVAL for every error (handlers.go:987); the new fid shares a File
//	            and a parent without a reference of its own (994)
//
// Only the core knows which File a fid stands for: Walk, Attach and Create are not
// told the fid, so a table in the conn could only be guessed from replies. But one
// message gives a File up and nothing else: Tlock, for which the core looks the fid
// up, holds a reference, takes no lock, and passes the errno on (handlers.go:1111).
// So these verbs travel through the core as a Tlock of a type that no client may
// send ([detourLock]); File.Lock runs the real thing, and the Rlock is replaced by
// the real reply. Data are read from the socket into the buffer that is written to
// the file, and the other way. A goroutine of the core serves one request and ends;
// core.go says why.
//
// # Descriptors
//
// A fid holds an O_PATH descriptor, up to half of RLIMIT_NOFILE of them; beyond
// that the least recently used one is put away and opened again on use, by file
// handle when root, else by parent and name. If it is not the same file any more
// the answer is ESTALE. Fids that are open keep their descriptors.
//
// # Locks
//
//	Server.mu
//	conn.wmu             one frame out at a time; held across a write to the socket
//	  conn.mu            pending tags, attach, xattr fids; never held across I/O
//	openFile.mu          a directory's position; a fid's lock descriptor
//	paths.mu             the list of O_PATH descriptors
//	  node.mu            taken under paths.mu only with TryLock
//
// Goroutines: the core's, one per request in flight and two per connection, which
// end with it; one per connection in Serve; [Server.Close] joins them, but for those
// whose system call does not return within lingerTime.
package export
