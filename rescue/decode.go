package rescue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

var errShort = errors.New("record is too short")

// A reading is a body that is taken apart. After the first mistake it yields zeros.
type reading struct {
	b   []byte
	bad bool
}

func (r *reading) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reading) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reading) u32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reading) u64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reading) bool() bool { return r.u8() != 0 }

func (r *reading) str() string {
	p := r.take(2)
	if p == nil {
		return ""
	}
	return string(r.take(int(binary.LittleEndian.Uint16(p))))
}

func (r *reading) time() time.Time {
	sec, nsec := int64(r.u64()), r.u32()
	if r.bad || nsec >= 1e9 {
		r.bad = true
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec))
}

func (r *reading) attr() Attr {
	return Attr{Set: r.bool(), Version: r.u32(), Size: r.size(), Mtime: r.time(), Ctime: r.time()}
}

// size takes a number of bytes, which is never negative.
func (r *reading) size() int64 {
	v := r.u64()
	r.bad = r.bad || v > math.MaxInt64
	return int64(v)
}

// end returns an error if the body was too short, or has something left.
func (r *reading) end() error {
	switch {
	case r.bad:
		return errShort
	case len(r.b) > 0:
		return fmt.Errorf("record has %d bytes too many", len(r.b))
	}
	return nil
}

// A decoded is one record; which fields mean something depends on its kind.
type decoded struct {
	kind                 kind
	file                 uint32
	mount                Mount
	meta                 Meta
	truncations, extents uint32
	size                 int64
	extent               Extent // its Data is a part of the body
	records              uint64
	sum                  uint32
	attr                 Attr
}

// decode takes a record's body apart, which may be anything.
func decode(b []byte) (d decoded, err error) {
	r := &reading{b: b}
	d.kind = kind(r.u8())
	if d.kind != kindMount && d.kind != kindEnd {
		d.file = r.u32()
	}
	switch d.kind {
	case kindMount:
		d.mount = Mount{Written: r.time(), Live: r.bool(), NUname: r.u32(),
			Address: r.str(), Aname: r.str(), Uname: r.str(), Dialect: r.str(), Mountpoint: r.str()}
	case kindFile:
		d.meta = Meta{QidPath: r.u64(), QidType: r.u8(), Known: r.attr(), Sent: r.bool(), Grown: r.size(), Errno: r.u32()}
		d.truncations, d.extents = r.u32(), r.u32()
		d.meta.Path, d.meta.Why = r.str(), r.str()
		if err := checkPath(d.meta.Path); err != nil && !r.bad {
			return d, err
		}
	case kindTruncation:
		d.size = r.size()
	case kindExtent:
		d.extent = Extent{Off: r.size(), Errno: r.u32(), State: r.str()}
		d.extent.Data, r.b = r.b, nil
		if n := len(d.extent.Data); n == 0 || n > MaxData || d.extent.Off > math.MaxInt64-int64(n) {
			return d, fmt.Errorf("extent of %d bytes at %d", n, d.extent.Off)
		}
	case kindEnd:
		d.records, d.sum = r.u64(), r.u32()
	case kindSending:
		d.attr = r.attr()
	case kindSent:
	default:
		return d, fmt.Errorf("record of unknown kind %d", d.kind)
	}
	return d, r.end()
}

// checkPath refuses a path that could lead out of the tree, or nowhere.
func checkPath(p string) error {
	if len(p) > maxString {
		return fmt.Errorf("path of %d bytes", len(p))
	}
	for elem := range strings.SplitSeq(p, "/") {
		if elem == "" || elem == "." || elem == ".." || strings.ContainsRune(elem, 0) {
			return fmt.Errorf("path %q", p)
		}
	}
	return nil
}
