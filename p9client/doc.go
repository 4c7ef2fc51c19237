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
//     tells; else the call fails with EIO and says "ambiguous".
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
//	    conn.wmu        the writing side of the socket
//	    conn.mu         calls by tag, free tags and fid numbers
//
// Fid.busy is held across I/O: those who want the same fid have to wait for that
// anyway, and can be interrupted. conn.wmu is held while writing to the socket,
// which ends when the connection is given up. No other lock is held across I/O.
//
// # Goroutines
//
// A session has one that dials; each connection has one that reads and one that
// watches the clock. Session.Close joins them all.
package p9client
