// Package legacy9p serves a directory over plain 9P2000, as a Plan 9 file server would over a Unix disk (compare u9fs), and
// over 9P2000.u on demand. It is the peer that the tests of the 9P client talk to, so it shares no code with the client nor
// with the embedded server: messages, tags and fids are the business of 9fans.net/go/plan9 and its srv9p.
//
// Command serve runs it:
//
//	legacy9p [--msize N] [--u] [--read-only] [--path-based] [--no-sync] DIR ADDRESS
//	legacy9p [flags] --stdio DIR
//
// ADDRESS is tcp!host!port or unix!/path; the address that was chosen is printed on stderr. With --stdio it speaks 9P on its
// standard input and output, until the input ends.
//
// # Files
//
// A fid that is not open stands for a path below DIR. A fid that is open holds the file, as Unix does: it survives remove and
// rename. With PathBased it does not: every request goes by path, so that remove or rename through another fid makes it
// stale ("file does not exist"), as on many 9P2000 servers.
//
// qid.path is the inode number, with a hash of the device for other devices than DIR's. qid.version is a hash of length, mtime
// and ctime, so that it survives a restart of the server. Kernels before 6.13 keep times in ticks of some milliseconds: two
// writes within a tick that leave the length alone then have one version.
//
// Names of users and groups are those of the system, else decimal numbers; muid is the owner. There are no users on the
// wire: whoever attaches, by any name and to any aname, acts as the user who runs the server. Tauth is refused.
//
// Nothing outside DIR can be reached: every path is resolved beneath it by openat2(2), `..` of the root is the root. In plain
// 9P2000 a symbolic link is shown as what it points to. Links that dangle, are absolute or leave DIR are left out.
// Tremove and renames concern the link itself. FIFOs are plain files whose Treads block (Tflush interrupts
// them, and OWRITE needs a reader); devices and sockets are listed but cannot be opened.
//
// Tcreate gives plain 9P2000's permissions, perm & (~0666 | dir & 0666), whatever the umask. Twstat changes all or nothing:
// a rename is undone if the rest fails, but a truncation is not. A null Twstat is fsync(2).
// DMAPPEND and DMEXCL live in the server's memory, by inode, until the server ends or removes the file; a file that
// something else removes may pass its bits on to a new file with its inode number.
//
// Errors are said as u9fs and the file servers of Plan 9 say them, or as strerror does; see ename.go.
//
// # 9P2000.u
//
// Srv9p knows only plain messages: dialect_u.go translates. Symbolic links are links then, not followed by the server; the
// extension of their stat is the target. Tcreate makes links, devices, FIFOs and sockets, with the permissions as given.
// Twstat takes n_uid, n_gid and atime.
//
// # What it deliberately lacks
//
// Authentication. Muid. DMTMP. Iounit (it is 0: what msize allows). Renames to other directories and over existing names,
// which 9P2000 does not know. Paths of more than 4095 bytes. A limit on requests in flight: clients are trusted. It runs on
// Linux only (5.6 or later) and needs /proc.
//
// # Locks
//
// Leaves all, none held across I/O: Server.mu, session.mu, dialectU.mu, file.mu, replies.mu, attributes.mu. The exceptions are
// dirReader.mu and fifo.turn, which put the requests of one fid in order.
package legacy9p
