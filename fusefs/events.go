package fusefs

import (
	"context"
	"fmt"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// An eventsHandle is an open .events: a cursor among the changes of the journal,
// which starts at open(2). A read waits until there is something to tell.
// Comment lines tell how the connection fares.
type eventsHandle struct {
	fsys     *FS
	who      caller
	nonblock bool
	turn     chan struct{} // capacity 1: held by the one read at work, which owns the rest

	serial uint64
	link   p9client.Link
	rest   []byte // told, and not yet read
}

var _ = (fs.FileReader)((*eventsHandle)(nil))

func openEvents(m *magicNode, who caller, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fsys := m.dir.fsys
	h := &eventsHandle{
		fsys: fsys, who: who, nonblock: flags&syscall.O_NONBLOCK != 0, turn: make(chan struct{}, 1),
		serial: fsys.journal.Serial(), link: fsys.session.Link(),
	}
	// A stream: the kernel keeps no offset, nor a lock of it that others wait for.
	return h, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_STREAM | fuse.FOPEN_NONSEEKABLE, 0
}

// Read ends with EINTR at any signal: who waits here for what may never come must
// be able to leave. O_NONBLOCK counts as it was at open(2).
func (h *eventsHandle) Read(ctx context.Context, dest []byte, _ int64) (fuse.ReadResult, syscall.Errno) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, syscall.EINTR
	}
	for {
		changed, linkChanged := h.fsys.journal.Changed(), h.fsys.session.LinkChanged()
		h.look()
		if len(h.rest) > 0 {
			n := copy(dest, h.rest)
			h.rest = h.rest[n:]
			return fuse.ReadResultData(dest[:n]), 0
		}
		if h.nonblock {
			return nil, syscall.EAGAIN
		}
		select {
		case <-changed:
		case <-linkChanged:
		case <-ctx.Done():
			return nil, syscall.EINTR
		case <-h.fsys.ctx.Done():
			return nil, syscall.ENODEV
		}
	}
}

// look adds what is new to h.rest.
func (h *eventsHandle) look() {
	if len(h.rest) > 0 {
		return
	}
	h.rest, h.serial = h.fsys.changes(h.who, "", h.serial)
	was, now := h.link, h.fsys.session.Link()
	if h.link = now; was.Up != now.Up || was.Generation != now.Generation {
		h.rest = append(h.rest, linkLine(now)...)
	}
}

func linkLine(l p9client.Link) string {
	if l.Up {
		return fmt.Sprintf("# link=up generation=%d address=%q\n", l.Generation, l.Address)
	}
	return fmt.Sprintf("# link=down generation=%d address=%q cause=%q\n", l.Generation, l.Address, fmt.Sprint(l.Cause))
}
