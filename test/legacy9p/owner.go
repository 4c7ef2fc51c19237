package legacy9p

import (
	"os/user"
	"strconv"
	"sync"
)

// Names that were looked up, kept for good: by id.
var userNames, groupNames sync.Map

// userName is the name of a user, or the number.
func userName(uid uint32) string {
	return named(&userNames, uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

// groupName is the name of a group, or the number.
func groupName(gid uint32) string {
	return named(&groupNames, gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func named(cache *sync.Map, id uint32, lookup func(string) (string, error)) string {
	if n, ok := cache.Load(id); ok {
		return n.(string)
	}
	number := strconv.FormatUint(uint64(id), 10)
	name, err := lookup(number)
	if err != nil || name == "" {
		name = number
	}
	cache.Store(id, name)
	return name
}

// groupID is the number of a group's name. A number stands for itself.
func groupID(name string) (int, bool) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	n, err := strconv.ParseUint(name, 10, 31)
	return int(n), err == nil
}
