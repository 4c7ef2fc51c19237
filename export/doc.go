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
//     where ctime is coarse (kernels before 6.13: 1 to 10 ms).
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
// From the core: no authentication; requests of one connection run in parallel,
// at most 256; Tflush waits for the old request, which is not cancelled; a
// fid whose name was removed cannot be opened any more (ENOENT), even when the
// file has another name; rename between two names of one file is 0 but spoils
// fids walked by the second name; Tremove of a directory is EISDIR (Tunlinkat
// does both); every name ever walked costs a few hundred bytes until the
// connection ends; a Twrite is read into memory of its own before it is written;
// one error is for a whole Twalk, never a partial Rwalk.
//
// # The detour
//
// The core spoils some verbs before a p9.File could see them: Txattrwalk answers
// every error with EINVAL and drops references it does not own (the next clone of
// the directory panics), Tsetattr loses the setuid and setgid bits and fails on
// removed files, Tfsync holds up every rename of the connection, Tgetlock is
// unknown, a Tread above msize gets EFAULT, Rflush may overtake the reply it waits
// for, and two Tflushes that name each other hang the connection. So each connection passes through a
// [conn], which reads and writes the core's frames. A verb that the core spoils
// travels through it as a Tlock of a type that no client may send ([detourLock]);
// File.Lock runs the real thing, and the Rlock is replaced by the real reply.
// Everything else passes untouched, Twrite and Rread payloads uncopied. A
// goroutine of the core serves one request and ends; core.go says why.
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
