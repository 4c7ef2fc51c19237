// Package faultproxy puts a proxy between a 9P client and a 9P server that breaks
// things on request. It reads only size[4] type[1] tag[2] of each message (and the
// count field where a rule changes it), shares no code with p9client, and needs only
// the standard library, so that a mistake in the client's codec cannot hide here.
//
// A fault is a printable sentence, so that a failing test can print what reproduces it:
//
//	Twrite nth=3 reply=ENOSPC       the third Twrite from now is refused, not forwarded
//	Tread delay=200ms               every Tread waits; other messages do not
//	Rwrite drop                     acknowledgements vanish
//	Twrite take=100 count=1         the server is given 100 bytes, and says so
//	Rread short=1                   the count and the payload of Rread are cut to 1
//	Rread cut=mid count=1           half of the message arrives, then the end
//	conn cut after=1MiB             every connection ends after that many bytes
//	link rtt=10ms rate=1Gbit        a long thin wire
//	stall                           nothing moves, sockets stay open
//	refuse                          nobody is let in, the port stays ours
//	heal                            all of the above undone
//
// # Sentences
//
// A message rule is a name, selectors, and an action. The name is one of the manual's
// (Tread, Rlerror, ...), T* or R*, or T<number>/R<number> for a type without a name; "R*"
// includes error replies. Some extensions of hugelgupf/p9 share numbers with 9P2000:
// its Twalkgetattr is Twstat (126) here.
//
// Selectors: nth=N (only the Nth match from now), from=N (the Nth and later ones), every=N
// (each Nth match, counted from the first that from= admits), count=N (fires at
// most N times). Every rule counts every message it names, also those on which an earlier
// rule fires; the first rule that fires, in the order of Add, decides.
//
// Actions, one a rule:
//
//	reply=ERRNO       T only: answer Rlerror (9P2000.L), do not forward
//	ename="words"     T only: answer Rerror (9P2000), do not forward
//	rerror107=ERRNO   T only: answer type 107 with a bare errno, as nfs-ganesha does
//	drop              swallow the message
//	take=N            Twrite only: the server gets the first N bytes of the payload
//	short=N           Rread and Rwrite only: the count becomes at most N, the payload is cut
//	cut               end the connection instead of forwarding; cut=after: having
//	                  forwarded; cut=mid: having forwarded the first half
//	garbage           size, type and tag stay, everything else is random
//	badframe[=N]      the size field says N (default 4294967295)
//	badtag            the tag is one that is not in use
//	badtype[=N]       the type is N (default: the next of the same direction)
//	dup               forward it twice
//	hold              keep it until Release
//	delay=DURATION    forward it later; may stand beside any action but hold, and then
//	                  the action happens later. Messages with the same delay keep
//	                  their order
//
// A refused message is not seen by the server: after "Tclunk reply=EIO" the fid lives on there.
//
// # Limits
//
//   - A message longer than 64 MiB, or shorter than its own header, is not
//     parsed: the rest of that direction is passed as it is ("raw"), which the log tells.
//   - link= is per connection and per direction. Its queue takes at most 64 MiB.
//   - short= on Rwrite changes only the reply: the server has taken all bytes. Use take=.
//   - On unix sockets there are no resets: a peer sees the end of file.
//
// # How connections end
//
// Cut and errors end both sides with a reset (SetLinger(0)). cut, cut=after, cut=mid and
// "conn cut after=" reset the side the message came from, while the other gets every byte
// it was promised, then end of file: what arrived is then exactly known.
// When a stall ends, a connection that was reset during it dies with what it had
// buffered, as in the kernel of a stalled server.
//
// # Locks
//
//	lane.mu              one whole message at a time goes into a socket; held while writing (the
//	                     point of it), given up by a reset of the connection
//	  Proxy.mu           rules, links, switches; no I/O under it
//	    traffic.mu       counters
//	      journal.mu     the log
//
// # Deadlocks
//
// A client that does not read replies while it writes may wait for itself: an injected
// reply is written by the goroutine that reads requests.
package faultproxy
