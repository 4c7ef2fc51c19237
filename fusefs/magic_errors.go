package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	errjournal "p9mapfs/errors"
)

// An errorsHandle is an open .errors: the journal of everything at or below a
// directory as it was at open(2), each matter once. A reader who was told that
// this is the end, and asks again, gets what has changed since, a line for each
// change. So does one who has read all there was, and asks for the size: tail -f
// never reads beyond that.
type errorsHandle struct {
	m   *magicNode
	who caller

	mu     sync.Mutex
	text   []byte // from file offset base on
	base   int64
	serial uint64 // the journal's change up to which text tells
	all    bool   // text was read to its end
	ended  bool   // and a read was told so
}

var (
	_ = (fs.FileReader)((*errorsHandle)(nil))
	_ = (fs.FileReleaser)((*errorsHandle)(nil))
)

// maxErrorsText is what an open .errors keeps of the lines added after open(2).
const maxErrorsText = 4 << 20

func openErrors(m *magicNode, who caller, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h := &errorsHandle{m: m, who: who, serial: m.dir.fsys.journal.Serial()}
	h.text, _ = m.snapshot(who)
	h.all = len(h.text) == 0
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.readers == nil {
		m.readers = make(map[*errorsHandle]struct{})
	}
	m.readers[h] = struct{}{}
	return h, fuse.FOPEN_DIRECT_IO, 0
}

// snapshot is what somebody may see of the journal at or below the directory, and
// when it was changed last.
func (m *magicNode) snapshot(who caller) (text []byte, changed time.Time) {
	fsys, dir := m.dir.fsys, m.dir.f.fid.Path()
	may := fsys.permit(who)
	var b bytes.Buffer
	if who.all { // with what the bounds have cut, which is not told by file
		fsys.journal.WriteBelow(&b, dir) // a Buffer takes all
	}
	for _, e := range fsys.journal.Entries(dir) {
		if !who.all {
			if !may.read(e.File) {
				continue
			}
			fmt.Fprintln(&b, e)
		}
		if e.Time.After(changed) {
			changed = e.Time
		}
	}
	return b.Bytes(), changed
}

// changes are the lines of what has changed after a serial, at or below dir.
func (fsys *FS) changes(who caller, dir string, serial uint64) (text []byte, next uint64) {
	entries, next, missed := fsys.journal.Since(serial)
	if missed > 0 {
		text = fmt.Appendf(text, "# %d changes were missed: open this file again\n", missed)
	}
	may := fsys.permit(who)
	for _, e := range entries {
		if below(e.File, dir) && may.read(e.File) {
			text = fmt.Appendln(text, e)
		}
	}
	return text, next
}

// below reports whether a path is dir or below it; "" is the root.
func below(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}

// follow adds what has changed, if the reader has seen what there was.
func (h *errorsHandle) follow(sizeAsked bool) {
	h.mu.Lock()
	serial, due := h.serial, h.ended || h.all && sizeAsked
	h.mu.Unlock()
	if !due {
		return
	}
	text, next := h.m.dir.fsys.changes(h.who, h.m.dir.f.fid.Path(), serial)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.serial != serial { // somebody else did so meanwhile
		return
	}
	h.serial = next
	if len(text) == 0 {
		return
	}
	h.text, h.all, h.ended = append(h.text, text...), false, false
	if cut := len(h.text) - maxErrorsText; cut > 0 && cut > len(text) {
		h.text, h.base = append([]byte(nil), h.text[cut:]...), h.base+int64(cut)
	}
}

// Read answers at most what it has. Lines that were forgotten because the file
// has grown for long are ESTALE: it has to be opened again.
func (h *errorsHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.follow(false)
	h.mu.Lock()
	defer h.mu.Unlock()
	at := off - h.base
	switch {
	case at < 0:
		return nil, syscall.ESTALE
	case at >= int64(len(h.text)):
		h.all, h.ended = true, true
		return fuse.ReadResultData(nil), 0
	}
	n := copy(dest, h.text[at:])
	h.all = h.all || at+int64(n) == int64(len(h.text))
	return fuse.ReadResultData(dest[:n]), 0
}

func (h *errorsHandle) Release(context.Context) syscall.Errno {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	delete(h.m.readers, h)
	return 0
}

// end is the size of the file as this handle reads it.
func (h *errorsHandle) end() int64 {
	h.follow(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.base + int64(len(h.text))
}

// errorsAttr is the size and the time of the last change. The size is that of an
// open handle, so that it grows by what a read would give; tail looks at it.
func (m *magicNode) errorsAttr(ctx context.Context, h fs.FileHandle) (size int64, changed time.Time) {
	text, changed := m.snapshot(m.dir.fsys.caller(ctx))
	if h, ok := h.(*errorsHandle); ok {
		return h.end(), changed
	}
	m.mu.Lock()
	l := make([]*errorsHandle, 0, len(m.readers))
	for h := range m.readers {
		l = append(l, h)
	}
	m.mu.Unlock()
	if len(l) == 0 {
		return int64(len(text)), changed
	}
	for _, h := range l {
		size = max(size, h.end())
	}
	return size, changed
}

// lines are the lines of one file, the newest that fit into n bytes.
func lines(log *errjournal.Log, n int) []byte {
	var b bytes.Buffer
	log.WriteTo(&b) // a Buffer takes all
	t := b.Bytes()
	if len(t) <= n {
		return t
	}
	const cut = "# older lines are in .errors\n"
	t = t[len(t)-n+len(cut):]
	return append([]byte(cut), t[bytes.IndexByte(t, '\n')+1:]...)
}
