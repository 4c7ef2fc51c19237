package legacy9p

import (
	"errors"
	"sync"

	"9fans.net/go/plan9"
	"golang.org/x/sys/unix"
)

const attributeBits = plan9.DMAPPEND | plan9.DMEXCL

var errExclusive = errors.New("exclusive use file already open")

type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }

// attributes keeps what Unix has no bits for.
type attributes struct {
	mu   sync.Mutex // guards everything below
	bits map[inode]plan9.Perm
	open map[inode]bool // exclusive files that a fid has open
}

func (a *attributes) get(i inode) plan9.Perm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bits[i]
}

func (a *attributes) set(i inode, p plan9.Perm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p &= attributeBits; p == 0 {
		delete(a.bits, i)
		return
	}
	if a.bits == nil {
		a.bits = map[inode]plan9.Perm{}
	}
	a.bits[i] = p
}

// acquire opens an exclusive file; release must follow if it says so.
func (a *attributes) acquire(i inode) (release bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bits[i]&plan9.DMEXCL == 0 {
		return false, nil
	}
	if a.open[i] {
		return false, errExclusive
	}
	if a.open == nil {
		a.open = map[inode]bool{}
	}
	a.open[i] = true
	return true, nil
}

func (a *attributes) release(i inode) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, i)
}
