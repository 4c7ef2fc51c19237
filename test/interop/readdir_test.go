package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"p9mapfs/p9client"
)

const (
	manyNames = 20_000
	manyDir   = "many"
)

var readdirCases = []testCase{
	{name: "readdir gives each name with its qid and type", verbs: "Treaddir", run: func(r *rig) {
		if l := r.list(r.openDir(), 1<<16); len(l) != 0 {
			r.Errorf("an empty directory has %+v", l)
		}
		r.put("file", "content")
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.ok(syscall.Mkfifo(r.host("fifo"), 0o600))
		want := map[string]uint8{"file": syscall.DT_REG, "dir": syscall.DT_DIR, "fifo": syscall.DT_FIFO}
		if !r.lacks(symlinks) {
			r.ok(os.Symlink("file", r.host("link")))
			want["link"] = syscall.DT_LNK
		}
		for _, e := range r.list(r.openDir(), 1<<16) {
			typ, ok := want[e.Name]
			if !ok {
				r.Errorf("%q is not there, or twice", e.Name)
				continue
			}
			delete(want, e.Name)
			if e.Type != typ && !r.deviates(entryTypes) {
				r.Errorf("%q has type %d, want %d", e.Name, e.Type, typ)
			}
			if e.Attr != nil {
				if want := r.attr(r.walk(e.Name)); e.Attr.Mode != want.Mode || e.Attr.Size != want.Size || !e.Attr.Mtime.Equal(want.Mtime) {
					r.Errorf("%q is listed with %+v, has %+v", e.Name, e.Attr, want)
				}
			}
			if f := r.walk(e.Name); f.Qid().Path != e.Qid.Path || f.Qid().Type != e.Qid.Type {
				r.Errorf("%q has qid %+v, walked to %+v", e.Name, e.Qid, f.Qid())
			}
		}
		if len(want) > 0 {
			r.Errorf("missing: %v", want)
		}
	}},
	{name: "readdir of a file is refused", verbs: "Treaddir", run: func(r *rig) {
		if r.deviates(notADir) {
			return
		}
		r.put("file", "content")
		_, _, err := r.open("file", syscall.O_RDONLY).ReadDir(r.ctx, 0, 4096)
		r.wants(err, syscall.ENOTDIR, "readdir of a file")
		_, _, err = r.walk().ReadDir(r.ctx, 0, 4096)
		r.wants(err, syscall.EBADF, "readdir of a fid that is not open")
	}},
	{name: "readdir of 20000 names gives each once, again from the start, and from the middle", verbs: "Treaddir", run: func(r *rig) {
		d := r.manyNames()
		for range 2 {
			r.onceEach(r.list(d, 1<<20), nil)
		}
		var head []p9client.Dirent
		var off uint64
		for len(head) < 1000 {
			l, next, err := d.ReadDir(r.ctx, off, 8192)
			r.ok(err)
			head, off = append(head, l...), next
		}
		r.onceEach(append(head, r.listFrom(r.manyNames(), off, 1<<16)...), nil)
	}},
	{name: "readdir while names come and go gives those that stay once", verbs: "Treaddir", run: func(r *rig) {
		d := r.manyNames()
		var l []p9client.Dirent
		passing := r.deviates(passingNames)
		step := func(off uint64) (uint64, bool) {
			more, next, err := d.ReadDir(r.ctx, off, 16384)
			for try := 0; passing && isPassing(err) && try < 1000; try++ {
				more, next, err = d.ReadDir(r.ctx, off, 16384)
			}
			r.ok(err)
			l = append(l, more...)
			return next, next == off
		}
		// Every tenth name goes, an eleventh as many come, all through the listing.
		churn := make(chan int)
		path := func(kind string, i int) string {
			return filepath.Join(r.export, manyDir, fmt.Sprintf("%s %05d", kind, i))
		}
		r.Cleanup(func() { r.ok(os.RemoveAll(filepath.Join(r.export, manyDir))) })
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range churn {
				os.Remove(path("name", i*10%manyNames))
				os.WriteFile(path("passing", i), nil, 0o600)
				os.Remove(path("passing", i/2))
			}
		})
		off, end := uint64(0), false
		for i := 0; !end; i++ {
			if i > manyNames {
				r.Fatal("it never ends")
			}
			for k := range 20 {
				churn <- i*20 + k
			}
			off, end = step(off)
		}
		close(churn)
		wg.Wait()
		r.onceEach(l, func(i int) bool { return i%10 != 0 })
	}},
	{name: "readdir in small pieces", verbs: "Treaddir", run: func(r *rig) {
		for i := range 300 {
			r.put(fmt.Sprintf("name %05d", i), "")
		}
		l := r.list(r.openDir(), 300)
		if n := len(distinct(l)); n != 300 || len(l) != 300 {
			r.Errorf("%d entries, %d names, want 300", len(l), n)
		}
	}},
}

// manyNames opens a directory of as many names, all of one file. The cases of a server share it, until one has changed it.
func (r *rig) manyNames() *p9client.Fid {
	r.Helper()
	dir := filepath.Join(r.export, manyDir)
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("name %05d", i)) }
	if err := os.Mkdir(dir, 0o755); err == nil {
		r.ok(os.WriteFile(name(0), nil, 0o644))
		for i := 1; i < manyNames; i++ {
			r.ok(os.Link(name(0), name(i)))
		}
	} else if !errors.Is(err, os.ErrExist) {
		r.Fatal(err)
	}
	d := r.walkFrom(r.session.Root(), manyDir)
	r.ok(d.Open(r.ctx, syscall.O_RDONLY|syscall.O_DIRECTORY))
	return d
}

// list reads a whole directory in replies of at most count bytes.
func (r *rig) list(d *p9client.Fid, count int) []p9client.Dirent {
	r.Helper()
	return r.listFrom(d, 0, count)
}

func (r *rig) listFrom(d *p9client.Fid, off uint64, count int) (l []p9client.Dirent) {
	r.Helper()
	for range 2 * manyNames {
		more, next, err := d.ReadDir(r.ctx, off, count)
		r.ok(err)
		l = append(l, more...)
		if next == off {
			return l
		}
		off = next
	}
	r.Fatal("the directory never ends")
	return nil
}

func distinct(l []p9client.Dirent) (names []string) {
	for _, e := range l {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// onceEach checks that l has each of the manyNames once that must be there, all if must is nil, and none twice.
func (r *rig) onceEach(l []p9client.Dirent, must func(i int) bool) {
	r.Helper()
	seen := map[string]int{}
	for _, e := range l {
		seen[e.Name]++
	}
	bad := 0
	for i := range manyNames {
		n := seen[fmt.Sprintf("name %05d", i)]
		if must == nil || must(i) {
			if n != 1 {
				bad++
			}
		} else if n > 1 {
			bad++
		}
	}
	if bad > 0 || must == nil && len(l) != manyNames {
		r.Errorf("%d entries, %d names missing or twice", len(l), bad)
	}
}

// openDir opens the case's directory on a fid of its own.
func (r *rig) openDir() *p9client.Fid {
	r.Helper()
	d := r.walk()
	r.ok(d.Open(r.ctx, syscall.O_RDONLY|syscall.O_DIRECTORY))
	return d
}
