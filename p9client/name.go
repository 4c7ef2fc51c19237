package p9client

import "strings"

// A name is a node in the session's tree of names: where fids were walked to.
// When a directory is renamed, what is below it moves along, and so is found
// again after a reconnect. Session.mu guards the tree.
type name struct {
	parent *name // nil for the root, and for what was removed
	elem   string
	qid    Qid  // of the fid that was walked to here last
	gone   bool // removed: a fid may still be open, but there is nothing to walk to
	refs   int  // fids, and children
	kids   map[string]*name
	fid    *Fid // one that was walked to here, a directory; nil: none is known
}

// childLocked returns the node elem below n, with a reference.
func (n *name) childLocked(elem string) *name {
	k := n.kids[elem]
	if k == nil {
		k = &name{parent: n, elem: elem}
		if n.kids == nil {
			n.kids = make(map[string]*name)
		}
		n.kids[elem] = k
		n.refs++
	}
	k.refs++
	return k
}

// childQid returns the qid of elem below the fid, if a fid is there.
func (f *Fid) childQid(elem string) (Qid, bool) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if k := f.name.kids[elem]; k != nil && k.qid != (Qid{}) {
		return k.qid, true
	}
	return Qid{}, false
}

// releaseLocked gives a reference back.
func (n *name) releaseLocked() {
	for n != nil {
		if n.refs--; n.refs > 0 {
			return
		}
		parent := n.parent
		n.detachLocked()
		n = parent
	}
}

// detachLocked takes n out of its parent, whose reference the caller gives back.
func (n *name) detachLocked() {
	if n.parent != nil && n.parent.kids[n.elem] == n {
		delete(n.parent.kids, n.elem)
	}
	n.parent = nil
}

// removeLocked marks the node elem below n as removed.
func (n *name) removeLocked(elem string) {
	if k := n.kids[elem]; k != nil {
		k.gone = true
		k.detachLocked()
		n.releaseLocked()
	}
}

// renameLocked moves the node oldElem below n to newElem below to.
func (n *name) renameLocked(oldElem string, to *name, newElem string) {
	k := n.kids[oldElem]
	if n == to && oldElem == newElem {
		return
	}
	to.removeLocked(newElem)
	if k == nil {
		return
	}
	if to.belowLocked(k) { // another client has moved to: nothing here has a path that is known
		n.removeLocked(oldElem)
		return
	}
	k.detachLocked()
	k.parent, k.elem = to, newElem
	if to.kids == nil {
		to.kids = make(map[string]*name)
	}
	to.kids[newElem] = k
	to.refs++
	n.releaseLocked()
}

// belowLocked reports whether n is k, or below it.
func (n *name) belowLocked(k *name) bool {
	for ; n != nil; n = n.parent {
		if n == k {
			return true
		}
	}
	return false
}

// pathLocked returns the names from the root to n; ok is false if there is no
// way any more.
func (n *name) pathLocked() (path []string, ok bool) {
	for ; n != nil; n = n.parent {
		if n.gone {
			return nil, false
		}
		if n.parent != nil {
			path = append(path, n.elem)
		}
	}
	for i, j := 0, len(path)-1; i < j; i, j = i+1, j-1 {
		path[i], path[j] = path[j], path[i]
	}
	return path, true
}

// goneLocked reports whether there is no way from the root to n any more.
func (n *name) goneLocked() bool {
	for ; n != nil; n = n.parent {
		if n.gone {
			return true
		}
	}
	return false
}

// validName reports whether a name may be sent to a server, or taken from it.
func validName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) < 1<<16 && !strings.ContainsAny(s, "/\x00")
}
