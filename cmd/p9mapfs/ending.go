package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"p9mapfs/fusefs"
	"p9mapfs/rescue"
)

// collectTime bounds how long the kernel may take to hand its dirty pages over. That
// does not wait for the server, unless --write-behind is full.
const collectTime = 5 * time.Second

// unmountTime is how long the unmount of a signalled daemon may take although the
// exit timeout has passed, before a copy in another mount namespace must be why.
const unmountTime = 3 * time.Second

// An ending is how a mount ends: what the server lacks is written to a rescue file,
// sent, and, if that succeeds within the exit timeout, the rescue file removed.
type ending struct {
	fsys  *fusefs.FS
	dir   string // the mount point
	mount rescue.Mount
	path  string // of the rescue file; empty: there is no directory for one
	note  *note  // nil: none could be left

	deadline time.Time
	saved    *rescue.Saved // nil: there is no rescue file
	failure  error         // the last attempt to write one
}

// serve waits for the unmount, or for a signal and then unmounts, and sends what is
// left.
func (e *ending) serve(ctx context.Context, exitTimeout time.Duration) error {
	gone := make(chan struct{})
	go func() { e.fsys.Wait(); close(gone) }()
	used := false
	select {
	case <-gone:
		e.deadline = time.Now().Add(exitTimeout)
		e.save(false, false)
	case <-ctx.Done():
		e.deadline = time.Now().Add(exitTimeout)
		e.collect()
		e.save(true, false)
		if err := e.sync(); err != nil {
			fmt.Fprintln(os.Stderr, "p9mapfs: before unmounting:", err)
		}
		if used = e.unmount(); used {
			e.collect() // what was stored meanwhile
		} else {
			<-gone
		}
	}
	e.note.unlist()
	err := e.sync()
	e.fsys.StopSending()
	e.save(false, true)
	if !used {
		e.fsys.Close()
	}
	return e.tell(err)
}

// unmount unmounts after a signal, and reports whether somebody can still use the
// mount, until this process ends.
func (e *ending) unmount() (used bool) {
	ctx, cancel := context.WithTimeout(context.Background(), max(unmountTime, time.Until(e.deadline)))
	defer cancel()
	busy := e.fsys.Unmount(ctx)
	switch {
	case errors.Is(busy, context.DeadlineExceeded):
		fmt.Fprintf(os.Stderr, "p9mapfs: %s is still mounted in another mount namespace, which loses it now\n", e.dir)
	case busy != nil:
		// Programs still use it. The name goes, they keep what they have open until
		// this process ends.
		if err := unmountPath(e.dir, true); err != nil {
			fmt.Fprintf(os.Stderr, "p9mapfs: cannot unmount %s: %v; when this has ended, try fusermount3 -uz %s\n", e.dir, err, e.dir)
			break
		}
		fmt.Fprintf(os.Stderr, "p9mapfs: %s was busy; programs that still use it lose it now\n", e.dir)
	}
	return busy != nil
}

func (e *ending) collect() {
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	e.fsys.Collect(ctx)
}

func (e *ending) sync() error {
	ctx, cancel := context.WithDeadline(context.Background(), e.deadline)
	defer cancel()
	return e.fsys.Sync(ctx, false)
}

// save writes the rescue file, or writes it anew; if there is nothing to be kept any
// more it removes it. live tells that programs can still store; unless it is the
// last time, what is in the file may be sent after that.
func (e *ending) save(live, last bool) {
	if e.path == "" {
		return
	}
	m := e.mount
	m.Written, m.Live = time.Now(), live
	was := e.saved
	s, err := rescue.Save(e.path, m, unsent(e.fsys, !last))
	if e.failure = err; err != nil {
		fmt.Fprintf(os.Stderr, "p9mapfs: cannot write the rescue file: %v\n", err)
		return
	}
	if e.saved = s; s == nil && was != nil {
		if err := was.Remove(); err != nil {
			fmt.Fprintf(os.Stderr, "p9mapfs: the server has everything, but the rescue file is still there: %v\n", err)
			return
		}
		fmt.Fprintf(os.Stderr, "p9mapfs: the server has everything; removed %s\n", e.path)
		return
	}
	if was != nil {
		was.Close()
	}
	if s != nil && !last {
		fmt.Fprintf(os.Stderr, "p9mapfs: the server lacks %s; they are in %s until it has them\n", amount(s.Bytes, s.Files), s.Path)
	}
}

// tell returns what the daemon ends with, and notes it for p9mapfs unmount. err is
// why not everything was sent.
func (e *ending) tell(err error) error {
	files, bytes := 0, int64(0)
	for u := range e.fsys.Unsent() {
		files++
		for _, x := range u.Extents {
			bytes += int64(len(x.Data))
		}
	}
	if files == 0 {
		e.note.end(0, "")
		return nil
	}
	what := fmt.Errorf("ended with %s that the server did not take", amount(bytes, files))
	if err == nil {
		err = errors.New("stored after the last attempt")
	}
	switch {
	case e.saved != nil && e.failure == nil:
		err = fmt.Errorf("%w: %w; send them later: p9mapfs rescue %s", what, err, e.saved.Path)
	case e.saved != nil:
		err = fmt.Errorf("%w: %w; what was stored since the signal is lost (%w), the rest can be sent later: p9mapfs rescue %s", what, err, e.failure, e.saved.Path)
	case e.failure != nil:
		err = fmt.Errorf("%w, which are lost: %w; there is no rescue file: %w", what, err, e.failure)
	default:
		err = fmt.Errorf("%w, which are lost: %w; there is no directory for a rescue file, see --rescue-dir", what, err)
	}
	path := ""
	if e.saved != nil {
		path = e.saved.Path
	}
	e.note.end(exitUnsent, path)
	return &status{exitUnsent, err}
}

// amount says how much of how many files.
func amount(bytes int64, files int) string {
	s := "s"
	if files == 1 {
		s = ""
	}
	return fmt.Sprintf("%s of %d file%s", humanize.IBytes(uint64(bytes)), files, s)
}

// unsent is what fsys has unsent, as a rescue file keeps it.
func unsent(fsys *fusefs.FS, sending bool) iter.Seq[rescue.File] {
	return func(yield func(rescue.File) bool) {
		for u := range fsys.Unsent() {
			f := rescue.File{Truncations: u.Truncations, Meta: rescue.Meta{
				Path: u.Path, QidPath: u.Qid.Path, QidType: u.Qid.Type, Sent: u.Sent || sending, Grown: u.Grown, Errno: uint32(u.Errno),
				Known: rescue.Attr{Set: u.Known, Version: u.Qid.Version, Size: u.Size, Mtime: u.Mtime, Ctime: u.Ctime},
			}}
			if u.Err != nil {
				f.Why = u.Err.Error()
			}
			for _, x := range u.Extents {
				errno := uint32(0)
				if x.State == "failed" {
					errno = f.Errno
				}
				f.Extents = append(f.Extents, rescue.Extent{Off: x.Off, Data: x.Data, State: x.State, Errno: errno})
			}
			if !yield(f) {
				return
			}
		}
	}
}
