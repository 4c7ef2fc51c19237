// Maphelper maps files for tests. A Go process must not touch a mapping of a mount that it serves itself, and a test
// process that hangs in a page fault cannot report: so the mapping is done in this child process.
//
// It reads one command a line on stdin and answers one line on stdout:
//
//	ok [data]         it worked
//	err ENOSPC        the system call failed with that errno
//	SIGBUS 0xOFF      the access to the mapping faulted at that offset of the file: pages are touched in
//	                  ascending order, so this is the first page that fails
//	bad WORDS         the command is wrong, or check found other bytes
//
// A command may be preceded by &ID: then the next command is read at once, and the answer, which comes whenever it
// does, is preceded by the same &ID. It may further be preceded by the word time: then " us=N" is
// appended to the answer, the microseconds it took. Words with spaces are quoted as in Go.
//
// Most commands work on a slot, a number that holds one open file and one mapping of it. The commands of one slot
// are done in sequence on a thread of its own; those of different slots do not wait for each other.
// Offsets and lengths are decimal bytes, or 0x...; offsets are those of the file, in the mapping too.
//
//	open SLOT PATH FLAGS [MODE]    FLAGS: r w rw creat excl trunc append sync direct, joined by commas; MODE octal
//	close SLOT                     the errno of close(2) is the verdict of FLUSH; a mapping stays
//	map SLOT OFF LEN [ro|rw] [private]   rw and shared if not said; LEN 0: to the end of the file
//	unmap SLOT
//	load SLOT OFF LEN              through the mapping: answers hex
//	store SLOT OFF HEX             through the mapping
//	fill SLOT OFF LEN SEED         stores package pattern's bytes
//	check SLOT OFF LEN SEED        compares with them
//	sha256 SLOT OFF LEN            hashes through the mapping
//	touch SLOT OFF LEN STRIDE      loads a byte each STRIDE, answers their sum
//	touchrandom SLOT N SEED        loads a byte of N pages at random, answers their sum
//	msync SLOT [OFF LEN] [sync|async|invalidate]
//	madvise SLOT normal|random|sequential|willneed|dontneed|hugepage|nohugepage
//	read SLOT LEN                  read(2): answers hex of what one call returned
//	pread SLOT OFF LEN
//	write SLOT HEX                 write(2): answers the count that one call returned
//	pwrite SLOT OFF HEX
//	pfill, pcheck, psha256         fill, check and sha256 by pwrite(2), pread(2)
//	fsync SLOT, fdatasync SLOT
//	truncate SLOT SIZE
//	size SLOT                      fstat(2)
//	getxattr SLOT NAME             answers a quoted string
//	exit [CODE]                    ends the process at once, with its mappings; no answer. So does end of input (0)
//
// # Limits
//
// At most 1000 slots. load, read and pread move at most 1 MiB. The garbage collector and asynchronous preemption
// are off: the first would wait for a thread that hangs in a page fault, the second would interrupt the fault with signals.
package main
