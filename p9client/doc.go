// Package p9client speaks 9P to a file server: a method for every T-message, many
// requests in flight over one connection, and a session that outlives its
// connections.
//
// # Dialects
//
// 9P2000.L, with the extensions of gVisor that save round trips, 9P2000.u and
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
//     nothing has the name.
//   - 9P2000 does not let the time of access be set. Where it is asked for together
//     with something else and the server refuses, the rest is done.
//   - ReadDir tells attributes along with names on 9P2000 and .u. Its offsets there
//     are good for going on, for beginning anew, and, at the cost of reading from
//     the beginning, for what an earlier offset gave as next.
//   - What a dialect lacks is refused: EPERM where Linux' file systems say so (links,
//     devices, setuid bits), EOPNOTSUPP else (statfs, attributes, locks).
//
// A Session is an address and an attach. Its connections come one after another
// and are numbered: the generation. A Fid belongs to the session. It knows its
// place in a tree of names, its qid and how it was opened, and is walked and
// opened again on each new connection when it is first used there; what is found
// must have the same qid.path and type, or the call fails with ESTALE.
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
//     name, which was not there before, has the target's.
//   - A request under which 16 connections in a row are lost at once, or by replies
//     that make no sense, fails: it is itself the likely reason.
//
// If the root has another qid after a reconnect, the server shows another tree,
// say because its disk is not mounted yet. Fids from below the old root are ESTALE
// until a connection has that root again, also if their qids happen to be there.
// The root's own fid, and what is walked from it, are of the new tree. A server
// that gives new qid.paths at each start therefore ends every fid but the root.
//
// # Interrupted calls
//
// When a call's context ends, its request is flushed and the call ends: at the
// latest 0.4 s later if the server does not answer, 0.8 s for a ReadAt of several
// Treads. The caller's buffer is his again then, also in the middle of an Rread or
// a Twrite. A tag is used again when the reply has come or Rflush says that none
// will, and no Tflush of it is unanswered.
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
// Tauth is not spoken.
//
// # Locks
//
//	Fid.busy            held while the fid is walked or opened on a connection
//	    Session.mu      the present connection, link state, the tree of names
//	    conn.pen        the writing side of the socket
//	    conn.mu         calls by tag, free tags and fid numbers
//
// Fid.busy is held across I/O: those who want the same fid have to wait for that
// anyway, and can be interrupted. So can those who want conn.pen, a channel, which
// is held while writing to the socket. No other lock is held across I/O.
//
// # Goroutines
//
// A session has one that dials; each connection has one that reads and one that
// watches the clock, and one each time that a Tclunk has to wait or that the rest
// of an interrupted caller's message is written. Session.Close joins them all.
package p9client
