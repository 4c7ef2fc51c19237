// Package raw reads one file over 9P2000.L as fast as one thread can, with no cache and no FUSE: the yardstick for everything
// that has them. It shares no code with p9client.
//
// One locked thread does everything with blocking system calls: it reads as much as is there, cuts it into replies without copying
// the payload, and writes the next Treads of all replies of one read in one call. Payload is looked at
// only if SHA256 is asked for.
//
// Limits: 9P2000.L without authentication; a regular file whose size does not change; one connection.
package raw
