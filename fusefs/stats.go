package fusefs

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func openStats(m *magicNode, _ caller, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return text(m.dir.fsys.stats()), fuse.FOPEN_DIRECT_IO, 0
}

// stats is a line of name, value and unit for each thing worth knowing. Words
// with blanks are quoted. Names may be added; none of these will go.
func (fsys *FS) stats() (b []byte) {
	line := func(name string, value any, unit string) {
		b = fmt.Appendf(b, "%s %v %s\n", name, value, unit)
	}
	held, failed, unstable := fsys.flusher.Held()
	line("held", held, "bytes")         // not acknowledged by the server
	line("failed", failed, "bytes")     // of these: refused
	line("unstable", unstable, "bytes") // acknowledged, not durable

	c := fsys.cache.Stats()
	line("cache", c.Bytes, "bytes")
	line("cache_hits", c.Hits, "reads")
	line("cache_misses", c.Misses, "reads")
	line("cache_joined", c.Joined, "reads")
	line("cache_filled", c.FillBytes, "bytes")
	line("cache_ahead", c.AheadBytes, "bytes")
	line("cache_evicted", c.Evicted, "bytes")
	line("cache_evicted_unread", c.EvictedUnread, "bytes")

	fsys.mu.Lock()
	files := len(fsys.files)
	fsys.mu.Unlock()
	line("files", files, "files") // known to us
	line("journal", fsys.journal.Serial(), "changes")

	l := fsys.session.Link()
	state := "down"
	if l.Up {
		state = "up"
	}
	line("link", state, "state")
	line("link_since", int64(time.Since(l.Since).Seconds()), "seconds")
	line("link_generation", l.Generation, "connections")
	line("address", strconv.Quote(l.Address.String()), "address")
	line("dialect", fsys.session.Dialect(), "version")
	line("msize", fsys.session.Msize(), "bytes")
	line("sync", fsys.syncs.Load(), "state")
	return b
}

// A syncState is what is known of the server's Tfsync (9P2000: the Twstat that
// changes nothing).
type syncState int32

const (
	syncUnknown syncState = iota // nobody has asked yet
	syncWorks
	syncNone // the server cannot: what it has acknowledged counts as durable
)

func (s syncState) String() string { return [...]string{"unknown", "yes", "none"}[s] }

// syncs is written by every Tfsync that is answered.
type syncs struct{ v atomic.Int32 }

func (s *syncs) Load() syncState { return syncState(s.v.Load()) }

// note keeps what err, the answer to a sync, tells.
func (s *syncs) note(err error) {
	switch errno := toErrno(err); {
	case err == nil:
		s.v.Store(int32(syncWorks))
	case errno == syscall.EOPNOTSUPP || errno == syscall.ENOSYS:
		s.v.Store(int32(syncNone))
	}
}
