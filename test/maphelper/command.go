package main

import "fmt"

// commands are the verbs with the number of words that follow the slot.
var commands = map[string]command{
	"open":  {2, 3, open},
	"close": {0, 0, onFile(closeFile)},

	"read":      {1, 1, onFile(read)},
	"pread":     {2, 2, onFile(pread)},
	"write":     {1, 1, onFile(write)},
	"pwrite":    {2, 2, onFile(pwrite)},
	"pfill":     {3, 3, onFile(pfill)},
	"pcheck":    {3, 3, onFile(pcheck)},
	"psha256":   {2, 2, onFile(psha256)},
	"fsync":     {0, 0, onFile(fsync)},
	"fdatasync": {0, 0, onFile(fdatasync)},
	"truncate":  {1, 1, onFile(truncate)},
	"size":      {0, 0, onFile(size)},
	"getxattr":  {1, 1, onFile(getxattr)},

	"map":         {2, 4, onFile(mmap)},
	"unmap":       {0, 0, onMapping(unmap)},
	"load":        {2, 2, onMapping(load)},
	"store":       {2, 2, onMapping(store)},
	"fill":        {3, 3, onMapping(fill)},
	"check":       {3, 3, onMapping(checkMapping)},
	"sha256":      {2, 2, onMapping(hash)},
	"touch":       {3, 3, onMapping(touch)},
	"touchrandom": {2, 2, onMapping(touchRandom)},
	"msync":       {0, 3, onMapping(msync)},
	"madvise":     {1, 1, onMapping(madvise)},
}

func onFile(do func(*slot, []string) (string, error)) func(*slot, []string) (string, error) {
	return func(s *slot, args []string) (string, error) {
		if s.fd < 0 {
			return "", fmt.Errorf("the slot has no open file")
		}
		return do(s, args)
	}
}

func onMapping(do func(*slot, []string) (string, error)) func(*slot, []string) (string, error) {
	return func(s *slot, args []string) (string, error) {
		if s.mem == nil {
			return "", fmt.Errorf("the slot has no mapping")
		}
		return do(s, args)
	}
}
