// Package p9client speaks 9P2000.L to a file server: a method for every
// T-message, many requests in flight over one connection, and a session that
// outlives its connections.
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
// Only 9P2000.L, over tcp and unix sockets. Tauth is not spoken.
//
// # Locks
//
//	Fid.busy            held while the fid is walked or opened on a connection
//	    Session.mu      the present connection, link state, the tree of names
//	    conn.mu         calls by tag, who waits for what, free fid numbers
//
// Fid.busy is held across I/O: those who want the same fid have to wait for that
// anyway, and can be interrupted. No other lock is held across I/O. The pen, the
// right to write to the socket, is passed on under conn.mu; who waits for it can be
// interrupted too.
//
// # Goroutines
//
// A session has one that dials; each connection has one that reads, one that writes
// what does not fit into the socket at once, one that watches the clock, and one
// each time that a Tclunk has to wait. Session.Close joins them all.
package p9client
