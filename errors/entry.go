package errjournal

import (
	"fmt"
	"hash/crc32"
	"syscall"
	"time"
	"unicode/utf8"
)

// An Entry is one matter in the journal: a range of a file and what became of it.
type Entry struct {
	Seq   uint64    // numbers the matter, from 1; kept when it is issued again
	Time  time.Time // last change, UTC, in whole milliseconds
	State State
	Op    string // the 9P message: "Twrite", "Tfsync", "Tread", "Tsetattr"
	File  string // path below the mount's root, no leading slash; raw bytes, not always UTF-8
	Off   int64  // bytes
	Len   int64  // bytes
	Errno syscall.Errno
	Msg   string // the server's words
	Tries int    // attempts made
	Sum   string // Checksum of the bytes, when Dropped
}

// Checksum returns "crc32c:xxxxxxxx", the Castagnoli CRC of the chunks as one
// run of bytes, for Entry.Sum.
func Checksum(chunks ...[]byte) string {
	var sum uint32
	for _, p := range chunks {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return fmt.Sprintf("crc32c:%08x", sum)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Servers choose the words, so what is remembered of them is bounded.
const (
	maxMsg  = 1024 // bytes of Msg
	maxWord = 64   // bytes of Op and of Sum
)

// clip bounds the memory that e may hold.
func (e *Entry) clip() {
	e.Msg = clipString(e.Msg, maxMsg)
	e.Op = clipString(e.Op, maxWord)
	e.Sum = clipString(e.Sum, maxWord)
}

// clipString cuts s to at most n bytes, the last three of them dots, without
// splitting a rune. The result does not pin the memory of a longer s.
func clipString(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("...")
	for i := 0; i < utf8.UTFMax && end > 0 && !utf8.RuneStart(s[end]); i++ {
		end--
	}
	return s[:end] + "..."
}

// millis is the precision of the journal, in memory as on the line.
func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
