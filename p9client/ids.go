package p9client

import (
	"os/user"
	"strconv"
	"sync"
)

// maxIDs bounds each table of ids: a server may send as many names as it likes.
const maxIDs = 4096

// ids turns the names of users and groups into numbers and back. It asks the
// system once for each, and takes decimal names for numbers.
type ids struct {
	unknownUID, unknownGID uint32

	mu             sync.Mutex // guards the tables
	uids, gids     map[string]uint32
	unames, gnames map[uint32]string
}

func newIDs(unknownUID, unknownGID uint32) *ids {
	return &ids{
		unknownUID: unknownUID, unknownGID: unknownGID,
		uids: map[string]uint32{}, gids: map[string]uint32{}, unames: map[uint32]string{}, gnames: map[uint32]string{},
	}
}

// remember returns what table says of key, or what find says. find runs without
// the lock: it may ask another machine.
func remember[K comparable, V any](i *ids, table map[K]V, key K, find func(K) V) V {
	i.mu.Lock()
	v, ok := table[key]
	i.mu.Unlock()
	if ok {
		return v
	}
	v = find(key)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(table) >= maxIDs {
		clear(table)
	}
	table[key] = v
	return v
}

func (i *ids) uid(name string) uint32 {
	return remember(i, i.uids, name, func(name string) uint32 {
		if u, err := user.Lookup(name); err == nil {
			return number(u.Uid, i.unknownUID)
		}
		return number(name, i.unknownUID)
	})
}

func (i *ids) gid(name string) uint32 {
	return remember(i, i.gids, name, func(name string) uint32 {
		if g, err := user.LookupGroup(name); err == nil {
			return number(g.Gid, i.unknownGID)
		}
		return number(name, i.unknownGID)
	})
}

func number(s string, otherwise uint32) uint32 {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil && uint32(n) != NoUID {
		return uint32(n)
	}
	return otherwise
}

// uname and gname return a name, or the number in decimal where there is none.

func (i *ids) uname(uid uint32) string {
	return remember(i, i.unames, uid, func(uid uint32) string {
		s := strconv.FormatUint(uint64(uid), 10)
		if u, err := user.LookupId(s); err == nil {
			return u.Username
		}
		return s
	})
}

func (i *ids) gname(gid uint32) string {
	return remember(i, i.gnames, gid, func(gid uint32) string {
		s := strconv.FormatUint(uint64(gid), 10)
		if g, err := user.LookupGroupId(s); err == nil {
			return g.Name
		}
		return s
	})
}
