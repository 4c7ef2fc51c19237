package fusefs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// A caller is who uses a magic file.
type caller struct {
	uid  uint32
	gids []uint32
	all  bool // sees and may do everything
}

// caller tells whose request it is. Root and who mounted may do everything; so may
// everybody whom the kernel lets in where that is nobody else.
func (fsys *FS) caller(ctx context.Context) caller {
	c, ok := fuse.FromContext(ctx)
	if !ok || !fsys.o.AllowOther || c.Uid == 0 || c.Uid == uint32(os.Geteuid()) {
		return caller{all: true}
	}
	return caller{uid: c.Uid, gids: append(groups(c.Pid), c.Gid)}
}

// groups are the further groups of a thread, which FUSE does not tell; none if it
// is gone.
func groups(tid uint32) (l []uint32) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if list, ok := strings.CutPrefix(s.Text(), "Groups:"); ok {
			for _, word := range strings.Fields(list) {
				if gid, err := strconv.ParseUint(word, 10, 32); err == nil {
					l = append(l, uint32(gid))
				}
			}
		}
	}
	return l
}

// Bits of a mode, as for others.
const (
	mayRead   = 4
	mayWrite  = 2
	maySearch = 1
)

// allows judges by a file's mode, as the kernel does.
func (c caller) allows(a p9client.Attr, want uint32) bool {
	switch {
	case c.all:
		return true
	case a.UID == c.uid:
		return a.Mode>>6&want == want
	case slices.Contains(c.gids, a.GID):
		return a.Mode>>3&want == want
	}
	return a.Mode&want == want
}

// A permit answers what a caller may do with files, by the modes that the server
// shows, or showed last while it is away. It remembers the answers: make one for
// each request.
type permit struct {
	fsys  *FS
	who   caller
	files map[string]*file // by path; made when first needed
	attrs map[string]*p9client.Attr
}

func (fsys *FS) permit(who caller) *permit {
	return &permit{fsys: fsys, who: who, attrs: make(map[string]*p9client.Attr)}
}

func (p *permit) read(path string) bool { return p.may(path, mayRead) }

// may reports whether the caller could reach the file at path and has want of it.
// What cannot be found out is a no.
func (p *permit) may(path string, want uint32) bool {
	if p.who.all {
		return true
	}
	for i := 0; i < len(path); i++ {
		if dir := path[:i]; (i == 0 || path[i] == '/') && !p.has(dir, maySearch) {
			return false
		}
	}
	return p.has(path, want)
}

// permitWait is how long the server is asked for the attributes of one file.
const permitWait = 2 * time.Second

func (p *permit) has(path string, want uint32) bool {
	a, known := p.attrs[path]
	if !known {
		ctx, cancel := context.WithTimeout(p.fsys.ctx, permitWait)
		a = p.ask(ctx, path)
		cancel()
		p.attrs[path] = a
	}
	return a != nil && p.who.allows(*a, want)
}

func (p *permit) ask(ctx context.Context, path string) *p9client.Attr {
	if p.files == nil {
		p.files = make(map[string]*file)
		for _, f := range p.fsys.all() {
			p.files[f.fid.Path()] = f
		}
	}
	if f := p.files[path]; f != nil {
		a, err := f.attr(ctx)
		if err == nil {
			return &a
		}
		f.mu.Lock() // it may be gone: what it was like then
		defer f.mu.Unlock()
		if f.told.set {
			a := f.last
			return &a
		}
		return nil
	}
	fid, a, err := p.fsys.session.Root().WalkAttr(p9client.WithoutHold(ctx), strings.Split(path, "/")...)
	if err != nil {
		return nil
	}
	fid.Clunk()
	return &a
}

// all are the files that we know.
func (fsys *FS) all() []*file {
	fsys.mu.Lock()
	defer fsys.mu.Unlock()
	l := make([]*file, 0, len(fsys.files))
	for _, f := range fsys.files {
		l = append(l, f)
	}
	return l
}
