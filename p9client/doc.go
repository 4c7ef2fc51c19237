// Package p9client speaks 9P to a file server: a method for every T-message, many
// requests in flight over one connection, and a session that outlives its
// connections.
//
// # Dialects
//
// 9P2000.L, with those extensions of gVisor that save round trips (Twalkgetattr) or
// say who owns what is made (Tucreate), 9P2000.u and
// 9P2000. Dial offers them in this order; Options.Dialect names one. The methods
// are the same in all of them, and speak of errno, mode and flags as Linux does:
//
//   - The words of an Rerror become an errno by a table (enames.go), and stay in
//     Error.Ename.
//   - 9P2000 has names for users; they become the numbers that this system has for
//     them, or Options.UID and GID. Attr tells both.
//   - Sync is Tfsync, or a Twstat that changes nothing, which stat(5) defines as
//     such. SetAttr and Rename are Twstat there. 9P2000 renames within a directory
//     only (EXDEV); where the server refuses to replace a file, the old one is set
//     aside first under a name that begins with ".p9mapfs.", so that for a moment
//     nothing has the name. Who is interrupted then goes on for at most a second;
//     what a lost connection leaves is put right on the next one.
//   - Times are seconds from 1970 to 2106 there; others become the nearest of these.
//   - 9P2000 does not let the time of access be set. Where it is asked for together
//     with something else and the server refuses, the rest is done.
//   - ReadDir tells attributes along with names on 9P2000 and .u. Its offsets there
//     are good for going on, for beginning anew, and, at the cost of reading from
//     the beginning, for what an earlier offset gave as next.
//   - What a dialect lacks is refused: EPERM where Linux' file systems say so (links,
//     devices, setuid bits), EOPNOTSUPP else (statfs, attributes, locks).
//
// A server is reached over TCP, TLS, unix sockets or vsock, through inherited
// descriptors, or as a command that speaks 9P on its standard input and output;
// see ParseAddress. Options.Dial takes connections from anywhere else.
//
// A Session is an address and an attach. Its connections come one after another
// and are numbered: the generation. A Fid belongs to the session. It knows its
// place in a tree of names, its qid and how it was opened, and is walked and
// opened again on each new connection when it is first used there; what is found
// must have the same qid.path and type, or the call fails with ESTALE.
//
// # Fids on the wire
//
// After a reconnect a fid that nobody uses costs nothing. Those that are used are
// walked again side by side, as many at a time as half of the tags allow; fids that
// are open do not stand in that line, so what writes dirty bytes back comes first.
// What was found again stays so for as long as the connection, and a call that only
// stood in line when the next one was lost goes on waiting there.
//
// Options.MaxFids bounds how many fids have a number on the connection; a few more
// have one while requests are under way. When they become too many, one that is not
// open, not in use and was not used lately is clunked on the wire. It stays valid,
// and is walked again when it is used, as after a reconnect. The root, fids that
// are open, and those of removed files that could not be found again keep their
// numbers and count. If they alone are too many, the bound is exceeded, and the
// others keep at most 64 numbers, or MaxFids/4.
//
// Servers that know a fid by its path lose it when the file is renamed, and one
// without a number is looked for by its path. A rename that the server has obeyed
// and not yet answered is therefore waited for, by requests on fids below it that
// meet ENOENT or ESTALE, at most Options.RequestTimeout; they are then sent again.
//
// A path of more than 16 names takes several Twalks; from a directory on the way
// that has been found again, and whose fid is not open, it takes fewer.
//
// # What a lost connection means to a call
//
//   - Reads and other requests that may be repeated (Tread, Tgetattr, Twalk,
//     Treaddir, Tstatfs, Treadlink, Tsetattr, Tlopen of an existing file) wait for
//     the next connection and are sent again. The wait ends with ETIMEDOUT when
//     Options.HoldTimeout has passed since the loss, and with EINTR when the
//     context ends.
//   - Under WithoutHold or AtGeneration a call does not wait but fails with an
//     Error whose Disconnected method returns true. Twrite and Tfsync always
//     behave so: their caller has to decide what to send again.
//   - A request that changes the tree and may or may not have been obeyed
//     (Tlcreate, Tmkdir, Trenameat, Tunlinkat, ...) is looked for where one look
//     tells; else the call fails with EIO and says "ambiguous". A Trenameat was
//     obeyed if the old name is gone and the new one has its qid; a Tlink if the
//     name, which was not there before, has the target's. A request that is sent
//     again and then meets EEXIST or ENOENT is looked for once more: a server may
//     have obeyed it from its buffers after the first look.
//   - A request under which 16 connections in a row are lost at once, or by replies
//     that make no sense, fails: it is itself the likely reason. Losses before it
//     was sent do not count.
//   - Session.Close ends every call with ENOTCONN, and those that are made later.
//
// If the root has another qid after a reconnect, the server shows another tree,
// say because its disk is not mounted yet. Fids from below the old root are ESTALE
// until a connection has that root again, also if their qids happen to be there.
// The root's own fid, and what is walked from it, are of the new tree. A server
// that gives new qid.paths at each start therefore ends every fid but the root.
//
// There may be several addresses: each connection is made to the first of them
// that answers. If there is none left, as when an inherited descriptor was lost,
// nobody waits: calls fail at once with the cause, whatever HoldTimeout is.
//
// # Interrupted calls
//
// When a call's context ends, its request is flushed and the call ends: at the
// latest 0.4 s later if the server does not answer, 0.8 s for a ReadAt of several
// Treads. The caller's buffer is his again then, also in the middle of an Rread or
// a Twrite. A tag is used again when the reply has come or Rflush says that none
// will, and no Tflush of it is unanswered.
//
// # Many requests at once
//
// 512 requests may be in flight: 256 Treads and 128 Twrites, for at most 32 MiB of
// data each, and 128 others. More wait, each kind in a line of its own. A message of
// at most 4 KiB goes out before larger ones that wait, and a larger one waits for
// what small ones have gathered once, so at most two large messages are written
// before a small one. The socket is not given much more than it can send. What the
// server has been asked for before is its own affair: it may answer that first.
//
// No order of requests on the wire is promised, but that a Tflush follows what it
// flushes and a Tclunk what may still make the fid. Who needs an order waits for the
// reply.
//
// # Silent servers
//
// A connection on which no byte has come for Options.RequestTimeout while a request
// was in flight is lost. Halfway the server is probed, by the flush of a request
// that does not exist; a request may take for ever while probes or other requests
// are answered. On an idle connection the server is probed every RequestTimeout
// and has half of that to answer, so a peer that vanished is noticed after one and
// a half, at the latest.
//
// # Hostile servers
//
// Lengths, counts, tags and types are checked before they are used; no reply
// makes the client allocate more than msize. A frame that makes no sense ends the
// connection, as if it had been cut. Names that could escape a directory are not
// let through.
//
// # Limits
//
// A fid that has no number, after a reconnect or for MaxFids, is found by its path.
// If another client has renamed the file, it is ESTALE, where on servers of the
// Unix kind a fid with a number would still work; so is a fid that had lost its
// number before its file was removed by this session.
//
// Tauth is not spoken. A connection that is given up is reset, so that a stalled
// server does not apply later what it has not read yet; unix sockets, pipes and
// commands cannot be reset, but a command's process group is dead before the next
// connection is made.
//
// # Locks
//
//	Fid.busy            held while the fid is walked or opened on a connection
//	    numbers.mu      which fids have numbers; tries the busy of others, never waits
//	        Session.mu  the present connection, link state, the tree of names
//	    conn.mu         calls by tag, who waits for what, free fid numbers
//
// Fid.busy is held across I/O: those who want the same fid have to wait for that
// anyway, and can be interrupted. No other lock is held across I/O. The pen, the
// right to write to the socket, is passed on under conn.mu; who waits for it can be
// interrupted too.
//
// # Goroutines
//
// A session has one that dials, and one for each rename that a lost connection has
// left half done; each connection has one that reads, one that writes what does not
// fit into the socket at once, one that watches the clock, and one each time that a
// Tclunk has to wait. A command has one that ends it, which the closing of its
// connection joins. Session.Close joins them all.
package p9client
