package fusefs

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"syscall"
	"time"

	"p9mapfs/p9client"
	"p9mapfs/writeback"
)

// An Unsent is a file of which the server lacks something, or has not made it
// durable.
type Unsent struct {
	Path         string // below the attach
	Qid          p9client.Qid
	Known        bool // the attributes, as the server gave them last:
	Size         int64
	Mtime, Ctime time.Time
	Sent         bool          // writes of ours may have changed them since
	Grown        int64         // bytes: the largest size that our writes may have given the file
	Errno        syscall.Errno // of the server's newest refusal, 0: none
	Err          error         // the same, in its words
	Truncations  []int64       // sizes to be sent first, in order
	Extents      []writeback.Extent
}

// Collect has the kernel hand over the dirty pages of every file, as far as that
// can be done until ctx ends. They are held then.
func (fsys *FS) Collect(ctx context.Context) {
	for _, f := range fsys.regular() {
		if f.writable() && ctx.Err() == nil {
			fsys.invalidateKernel(ctx, f)
		}
	}
}

// StopSending ends all sending, for good. What is held stays as it is then: what was
// under way counts as not sent.
func (fsys *FS) StopSending() { fsys.flusher.Close() }

// Unsent yields every file that has something unsent, by path, each as it is when
// its turn comes. Files that have neither a name nor a handle are not among them,
// and at the end of the mount no handle is left: whoever could ask for them is gone.
func (fsys *FS) Unsent() iter.Seq[Unsent] {
	return func(yield func(Unsent) bool) {
		l := fsys.regular()
		slices.SortFunc(l, func(a, b *file) int { return cmp.Compare(a.fid.Path(), b.fid.Path()) })
		for _, f := range l {
			if u, ok := f.unsent(); ok && !yield(u) {
				return
			}
		}
	}
}

// regular lists the files that have bytes.
func (fsys *FS) regular() (l []*file) {
	fsys.mu.Lock()
	defer fsys.mu.Unlock()
	for _, f := range fsys.files {
		if f.wb != nil {
			l = append(l, f)
		}
	}
	return l
}

func (f *file) unsent() (u Unsent, ok bool) {
	f.mu.Lock()
	told, size, nameless, version := f.told, max(f.size, f.toldSize), f.nameless, f.fid.Qid().Version
	f.mu.Unlock()
	if nameless {
		return u, false
	}
	u.Truncations, u.Extents = snapshot(f.wb)
	if len(u.Truncations)+len(u.Extents) == 0 {
		return u, false
	}
	if told.set {
		version = told.version
	}
	u.Path = f.fid.Path()
	u.Qid = p9client.Qid{Path: f.key.path, Type: f.key.typ, Version: version}
	u.Known, u.Size, u.Mtime, u.Ctime = told.set, told.size, told.mtime, told.ctime
	u.Grown = f.wb.Size(max(size, told.size))
	if u.Err = f.wb.Verdict(); u.Err != nil {
		u.Errno = toErrno(u.Err)
	}
	// Even a Twrite that was refused may have changed the times.
	u.Sent = !told.set || told.changes != f.wb.Changes() || u.Err != nil ||
		slices.ContainsFunc(u.Extents, func(e writeback.Extent) bool { return e.State != "dirty" })
	return u, true
}

// snapshot returns truncations and extents of one moment. A truncation that became
// durable, and its extents with it, between the two questions would otherwise be
// sent again without them, and cut off what the server has.
func snapshot(wb *writeback.File) (cuts []int64, l []writeback.Extent) {
	for {
		cuts, l = wb.Truncations(), wb.Extents()
		if slices.Equal(cuts, wb.Truncations()) {
			return cuts, l
		}
	}
}
