package fusefs

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/p9client"
	"p9mapfs/pagecache"
	"p9mapfs/writeback"
)

// A fileKey is a file's identity: a server may use qid.path again, for another
// type of file.
type fileKey struct {
	path uint64
	typ  uint8
}

// A file is what we know of one qid.
type file struct {
	fsys *FS
	key  fileKey
	fid  *p9client.Fid // walked, not open

	// Regular files only:
	log     *errjournal.Log
	wb      *writeback.File
	pages   *pagecache.File
	opening chan struct{} // capacity 1: held while rd or wr is opened

	mu       sync.Mutex
	closed   bool
	rd, wr   *p9client.Fid // open for reading, for writing; the inode's, not a handle's
	handles  int
	nameless bool // removed, and no other name is known
	told     validity
	last     p9client.Attr // as the server gave them, valid if told is set
	size     int64         // as last seen, with what was written since
	toldSize int64         // what the kernel was told of it
	outdated bool          // a reply told an older size than was seen
	stale    int           // how often somebody else's change was seen
	cleared  int           // stale when the kernel was last made to forget its pages

	// Guarded by FS.mu:
	known bool  // the kernel knows a node of it
	node  *node // that node
	since time.Time
}

// A validity tells whether clean pages are still what the server has.
type validity struct {
	set          bool
	at           time.Time // when it was noted, after the answer
	version      uint32    // 0: the server keeps none
	size         int64
	mtime, ctime time.Time
	changes      uint64 // writeback.File.Changes when it was asked for
	nlink        uint64
}

// same reports whether the file is as it was.
func (v validity) same(w validity) bool {
	if v.version != 0 && w.version != 0 {
		return v.version == w.version
	}
	return v.size == w.size && v.mtime.Equal(w.mtime) && v.ctime.Equal(w.ctime)
}

// file returns the file with that qid. It takes fid over: as the file's, or to
// clunk it.
func (fsys *FS) file(qid p9client.Qid, fid *p9client.Fid) *file {
	key := fileKey{qid.Path, qid.Type &^ (p9client.QTAPPEND | p9client.QTEXCL)}
	fsys.mu.Lock()
	f := fsys.files[key]
	known := f != nil
	if known {
		delete(fsys.idle, f)
	} else {
		f = &file{fsys: fsys, key: key, fid: fid, opening: make(chan struct{}, 1)}
		fsys.files[key] = f
		if key.typ&(p9client.QTDIR|p9client.QTSYMLINK) == 0 {
			f.log = fsys.journal.Log(qid.Path, fid.Path())
			f.wb = fsys.flusher.Open((*remote)(f), f.log, f.dropped)
			f.pages = fsys.cache.Open(f.wb)
		}
	}
	fsys.mu.Unlock()
	if known && fid != f.fid {
		f.fid.Replace(fsys.ctx, fid) // f may have been found by a name that is gone
		fid.Clunk()
	}
	return f
}

var _ pagecache.Backend = (*writeback.File)(nil)

// unused is told that the kernel has forgotten f, or that a handle was released.
func (fsys *FS) unused(f *file) {
	fsys.mu.Lock()
	defer fsys.mu.Unlock()
	if !f.known && !f.used() {
		f.since = time.Now()
		fsys.idle[f] = struct{}{}
	}
}

func (f *file) used() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handles > 0
}

// reapEvery is how often unused files are looked at.
const reapEvery = 500 * time.Millisecond

// reap closes files that nobody uses, when nothing of them is held any more.
func (fsys *FS) reap() {
	t := time.NewTicker(reapEvery)
	defer t.Stop()
	for {
		select {
		case <-fsys.ctx.Done():
			return
		case now := <-t.C:
			var l []*file
			fsys.mu.Lock()
			for f := range fsys.idle {
				if f.known || f.used() {
					delete(fsys.idle, f)
				} else if now.Sub(f.since) > reapEvery && (f.wb == nil || f.wb.Clean()) {
					delete(fsys.idle, f)
					delete(fsys.files, f.key)
					l = append(l, f)
				}
			}
			fsys.mu.Unlock()
			for _, f := range l {
				f.clunk()
				if f.log != nil {
					f.pages.Close()
					f.log.Close()
				}
			}
		}
	}
}

// clunk gives all fids up.
func (f *file) clunk() {
	f.mu.Lock()
	l := []*p9client.Fid{f.fid, f.rd, f.wr}
	f.rd, f.wr, f.closed = nil, nil, true
	f.mu.Unlock()
	for i, fid := range l {
		if fid != nil && (i == 0 || fid != l[i-1]) {
			fid.Clunk()
		}
	}
}

// dropped is told that bytes the server never got are held no more.
func (f *file) dropped(off, n int64) {
	f.pages.Invalidate(off, n)
	f.fsys.noticeLater(notice{f: f, off: off, n: n})
}

func (f *file) writable() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wr != nil
}

// open makes sure that the inode has its fids for reading and writing.
func (f *file) open(ctx context.Context, read, write bool) error {
	select {
	case f.opening <- struct{}{}:
		defer func() { <-f.opening }()
	case <-ctx.Done():
		return syscall.EINTR
	}
	f.mu.Lock()
	read, write = read && f.rd == nil, write && f.wr == nil
	f.mu.Unlock()
	if read {
		fid, err := f.openFid(ctx, syscall.O_RDONLY)
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.rd = fid
		f.mu.Unlock()
	}
	if write {
		fid, err := f.openFid(ctx, syscall.O_WRONLY)
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.wr = fid
		f.mu.Unlock()
	}
	return nil
}

func (f *file) openFid(ctx context.Context, flags uint32) (*p9client.Fid, error) {
	fid, err := f.walkAndOpen(ctx, flags)
	if f.refound(ctx, err) {
		fid, err = f.walkAndOpen(ctx, flags)
	}
	return fid, err
}

func (f *file) walkAndOpen(ctx context.Context, flags uint32) (*p9client.Fid, error) {
	fid, err := f.fid.Walk(ctx)
	if err != nil {
		return nil, err
	}
	if err := fid.Open(ctx, flags); err != nil {
		fid.Clunk()
		return nil, err
	}
	return fid, nil
}

// refound reports whether err came because the name that f was found by is gone,
// and f was found by another that the kernel knows: a hard link's.
func (f *file) refound(ctx context.Context, err error) bool {
	if errno := toErrno(err); errno != syscall.ENOENT && errno != syscall.ESTALE {
		return false
	}
	f.fsys.mu.Lock()
	n := f.node
	f.fsys.mu.Unlock()
	if n == nil {
		return false
	}
	path := n.Path(nil)
	if path == "" {
		return false
	}
	fid, err := f.fsys.session.Root().Walk(ctx, strings.Split(path, "/")...)
	if err != nil {
		return false
	}
	defer fid.Clunk()
	if fid.Qid().Path != f.key.path {
		return false
	}
	f.mu.Lock()
	open := []*p9client.Fid{f.rd, f.wr}
	f.mu.Unlock()
	found := false
	for _, x := range open { // they were walked by the old name too
		if x == nil {
			continue
		}
		if by, err := fid.Walk(ctx); err == nil {
			found = x.Replace(ctx, by) || found
			by.Clunk()
		}
	}
	return f.fid.Replace(ctx, fid) || found
}

// adopt makes a fid that Tlcreate opened the inode's.
func (f *file) adopt(fid *p9client.Fid, flags uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	used := false
	if acc := flags & syscall.O_ACCMODE; acc != syscall.O_WRONLY && f.rd == nil {
		f.rd, used = fid, true
	}
	if acc := flags & syscall.O_ACCMODE; acc != syscall.O_RDONLY && f.wr == nil {
		f.wr, used = fid, true
	}
	if !used {
		fid.Clunk()
	}
}
