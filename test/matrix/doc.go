// Package matrix tests every fault at every message of the paths that bytes and
// faults take: the cross product of servers, policies, ways to write, messages,
// faults and how long they last, less the cells that mean nothing, each of which is
// listed with its reason.
//
// A case is a sentence:
//
//	embedded hold mmap Twrite@sync lasting: cut-after
//
// The server, what --on-disconnect says, how the program stores, the message (in
// 9P2000.L's words; a server of 9P2000 gets its counterpart) and the call that
// causes it, how long the fault lasts, and the fault. A failing case prints the -run that
// repeats it.
//
// Each case has a directory of its own. While the fault lasts, the
// errno of each call, the server's bytes and .errors are compared with what a pure
// function of the sentence (verdicts) takes from docs/PROMISES.md; then the fault is
// healed, fsync must give 0, the server must have every byte, and nothing in .errors
// may be open.
//
// # Faults
//
//	cut          the connection ends before the request is forwarded
//	cut-after    after the server got it, and before its reply
//	cut-mid      in the middle of the reply
//	late         the reply comes after --request-timeout; the server answers probes
//	silent       the reply never comes, and no probe is answered
//	garbage, badtag, badtype, badframe    the reply makes no sense
//	short        a Twrite is taken, or an Rread given, in parts; none: nothing is taken
//	ENOSPC ...   the request is refused with it
//
// A fault that lasts is one at each such message until it is healed; a lost
// connection lasts because the server then takes no other, but at the messages of a
// reconnect, which meet the same fault again each time.
//
// # Mounts
//
// The cases of one sentence up to its fault share a mount, and those that need a short
// --request-timeout share others. They are no more because the daemon waits longer for
// each connection when the last ones were lost at once.
//
// # Limits
//
// The test prints every cell of the product that is no case, with the reason (go test -v
// -run EveryCell). Those of a Tflush are of the one that probes a silent server; a call
// that is interrupted is tested in package test.
package matrix
