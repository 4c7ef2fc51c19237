package faultproxy

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

const (
	headerSize = 7        // size[4] type[1] tag[2]
	maxMessage = 64 << 20 // longer ones are passed without being looked at

	rlerror = 7
	tread   = 116
	rread   = 117
	twrite  = 118
	rwrite  = 119
	rerror  = 107

	countAtR = 7  // Rread, Rwrite: size[4] type[1] tag[2] count[4]
	countAtT = 19 // Tread, Twrite: size[4] type[1] tag[2] fid[4] offset[8] count[4]
	noTag    = 0xffff
)

// typeOf holds every message name of 9P2000, 9P2000.u and 9P2000.L.
var typeOf = func() map[string]uint8 {
	m := make(map[string]uint8)
	for t, name := range map[uint8]string{
		6: "lerror", 8: "statfs", 12: "lopen", 14: "lcreate", 16: "symlink", 18: "mknod", 20: "rename",
		22: "readlink", 24: "getattr", 26: "setattr", 30: "xattrwalk", 32: "xattrcreate", 40: "readdir",
		50: "fsync", 52: "lock", 54: "getlock", 70: "link", 72: "mkdir", 74: "renameat", 76: "unlinkat",
		98: "openfd", 100: "version", 102: "auth", 104: "attach", 106: "error", 108: "flush", 110: "walk",
		112: "open", 114: "create", 116: "read", 118: "write", 120: "clunk", 122: "remove", 124: "stat",
		126: "wstat",
	} {
		m["T"+name], m["R"+name] = t, t+1
	}
	return m
}()

var nameOf = func() (names [256]string) {
	for name, t := range typeOf {
		names[t] = name
	}
	for t, name := range names {
		if name == "" {
			names[t] = fmt.Sprintf("%c%d", "TR"[t&1], t)
		}
	}
	return names
}()

// parseName turns a message name, T<number> or R<number> into a type.
func parseName(s string) (uint8, error) {
	if t, ok := typeOf[s]; ok {
		return t, nil
	}
	if len(s) > 1 && (s[0] == 'T' || s[0] == 'R') {
		if n, err := strconv.ParseUint(s[1:], 10, 8); err == nil && "TR"[n&1] == s[0] {
			return uint8(n), nil
		}
	}
	return 0, fmt.Errorf("no message is called %q", s)
}

// names reports whether the selector (a name, T* or R*) names messages of type t.
func names(selector string, t uint8) bool {
	switch selector {
	case "T*":
		return t&1 == 0
	case "R*":
		return t&1 == 1
	}
	return nameOf[t] == selector
}

// message is one whole 9P message, header included.
type message []byte

func (m message) typ() uint8      { return m[4] }
func (m message) tag() uint16     { return binary.LittleEndian.Uint16(m[5:]) }
func (m message) setTag(t uint16) { binary.LittleEndian.PutUint16(m[5:], t) }
func (m message) setSize(n uint32) {
	binary.LittleEndian.PutUint32(m, n)
}

// String names the message without its body.
func (m message) String() string {
	return fmt.Sprintf("%s tag %d size %d", nameOf[m.typ()], m.tag(), len(m))
}

// cutPayload reduces the count field at offset at, and what follows it, to n bytes. Only a
// payload that is there is cut. It reports whether the message had to change.
func (m message) cutPayload(at, n int) (message, bool) {
	if len(m) < at+4 {
		return m, false
	}
	if int64(binary.LittleEndian.Uint32(m[at:])) <= int64(n) {
		return m, false
	}
	binary.LittleEndian.PutUint32(m[at:], uint32(n))
	if end := at + 4 + n; end < len(m) {
		m = m[:end]
		m.setSize(uint32(end))
	}
	return m, true
}

// errorReply builds an error message: Rlerror errno[4], or with type 107 Rerror with a bare errno[4].
func errorReply(typ uint8, tag uint16, errno uint32) message {
	m := make(message, headerSize+4)
	m.setSize(headerSize + 4)
	m[4] = typ
	m.setTag(tag)
	binary.LittleEndian.PutUint32(m[headerSize:], errno)
	return m
}

// enameReply builds 9P2000's Rerror ename[s].
func enameReply(tag uint16, ename string) message {
	m := make(message, headerSize+2, headerSize+2+len(ename))
	m[4] = rerror
	m.setTag(tag)
	binary.LittleEndian.PutUint16(m[headerSize:], uint16(len(ename)))
	m = append(m, ename...)
	m.setSize(uint32(len(m)))
	return m
}

// payload is what Sizes reports of a message of that type and size; head is as much of it as
// has been read. Tread and Treaddir report the count they ask for.
func payload(typ uint8, size int, head []byte) int {
	switch name := nameOf[typ]; {
	case typ == twrite:
		return max(size-countAtT-4, 0)
	case typ == tread || name == "Treaddir":
		if size == countAtT+4 && len(head) >= size {
			return int(binary.LittleEndian.Uint32(head[countAtT:]))
		}
		return 0
	case typ == rread || name == "Rreaddir":
		return max(size-countAtR-4, 0)
	case typ == rwrite:
		if size == countAtR+4 && len(head) >= size {
			return int(binary.LittleEndian.Uint32(head[countAtR:]))
		}
		return 0
	}
	return size - headerSize
}

// directions tells whether the selector can name a T-message, an R-message.
func directions(selector string) (t, r bool) {
	return strings.HasPrefix(selector, "T"), strings.HasPrefix(selector, "R")
}
