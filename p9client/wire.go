package p9client

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Message types of all dialects. An R-message has its T-message's number plus one.
const (
	rlerror      = 7
	tstatfs      = 8
	tlopen       = 12
	tlcreate     = 14
	tsymlink     = 16
	tmknod       = 18
	trename      = 20
	treadlink    = 22
	tgetattr     = 24
	tsetattr     = 26
	txattrwalk   = 30
	txattrcreate = 32
	treaddir     = 40
	tfsync       = 50
	tlock        = 52
	tgetlock     = 54
	tlink        = 70
	tmkdir       = 72
	trenameat    = 74
	tunlinkat    = 76
	tversion     = 100
	tattach      = 104
	rerror       = 107 // of 9P2000 and .u; some servers send it for Rlerror
	tflush       = 108
	twalk        = 110
	topen        = 112 // 9P2000 and .u, like Tcreate, Tstat and Twstat
	tcreate      = 114
	tread        = 116
	twrite       = 118
	tclunk       = 120
	tremove      = 122
	tstat        = 124
	twstat       = 126
	tucreate     = 128 // of gVisor's extensions, like the next ones: Tlcreate and an owner
	tumkdir      = 130
	tumknod      = 132
	tusymlink    = 134
	twalkgetattr = 126 // of gVisor's extensions to 9P2000.L, which has no Twstat
	headerLen    = 7   // size[4] type[1] tag[2]
	ioHeaderLen  = 24  // what msize must leave besides the data of Rread and Twrite
	noTag        = ^uint16(0)
	noFid        = ^uint32(0)
	maxWalkNames = 16 // MAXWELEM
)

// encoder appends the fields of a message in 9P's order: little-endian integers,
// strings with a two-byte count.
type encoder struct{ b []byte }

func (e *encoder) u8(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) u16(v uint16) { e.b = binary.LittleEndian.AppendUint16(e.b, v) }
func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *encoder) str(s string) { e.u16(uint16(len(s))); e.b = append(e.b, s...) }

// begin starts a message; its size is filled in by finish.
func (e *encoder) begin(typ uint8) {
	e.b = append(e.b[:0], 0, 0, 0, 0, typ, 0, 0)
}

// finish fills in the tag, and the size: of what was appended plus payload
// bytes that are sent after it.
func (e *encoder) finish(tag uint16, payload int) {
	binary.LittleEndian.PutUint32(e.b, uint32(len(e.b)+payload))
	binary.LittleEndian.PutUint16(e.b[5:], tag)
}

var errShort = errors.New("message is shorter than its fields")

// decoder takes fields from a message. After the first that is missing it
// returns zero values, and err says so.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.fail(errShort)
		d.b = nil
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8() uint8 {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if v := d.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) str() string { return string(d.take(int(d.u16()))) }

func (d *decoder) qid() Qid { return Qid{Type: d.u8(), Version: d.u32(), Path: d.u64()} }

// fail makes err the decoder's error, unless it has one.
func (d *decoder) fail(err error) {
	if d.err == nil && err != nil {
		d.err, d.b = err, nil
	}
}

// qids takes a count and that many qids, most at the most.
func (d *decoder) qids(most int) []Qid {
	n := int(d.u16())
	if n > most {
		d.fail(fmt.Errorf("%d qids for %d names", n, most))
		return nil
	}
	l := make([]Qid, n)
	for i := range l {
		l[i] = d.qid()
	}
	return l
}

// walk appends what Twalk and Twalkgetattr have.
func (e *encoder) walk(fid, newfid uint32, names []string) {
	e.u32(fid)
	e.u32(newfid)
	e.u16(uint16(len(names)))
	for _, n := range names {
		e.str(n)
	}
}

// end returns the first error; bytes that are left over are one.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		return errors.New("message is longer than its fields")
	}
	return d.err
}

var messageNames = map[uint8]string{
	tstatfs: "statfs", tlopen: "lopen", tlcreate: "lcreate", tsymlink: "symlink", tmknod: "mknod", trename: "rename",
	treadlink: "readlink", tgetattr: "getattr", tsetattr: "setattr", txattrwalk: "xattrwalk", txattrcreate: "xattrcreate",
	treaddir: "readdir", tfsync: "fsync", tlock: "lock", tgetlock: "getlock", tlink: "link", tmkdir: "mkdir",
	trenameat: "renameat", tunlinkat: "unlinkat", tversion: "version", tattach: "attach", tflush: "flush", twalk: "walk",
	topen: "open", tcreate: "create", tread: "read", twrite: "write", tclunk: "clunk", tremove: "remove", tstat: "stat",
	twstat: "wstat", tucreate: "ucreate", tumkdir: "umkdir", tumknod: "umknod", tusymlink: "usymlink",
}

// messageName is a message's name in the manuals: "Twalk", "Rwalk".
func messageName(typ uint8) string {
	if n, ok := messageNames[typ]; ok {
		return "T" + n
	}
	if n, ok := messageNames[typ-1]; ok {
		return "R" + n
	}
	return fmt.Sprintf("message %d", typ)
}
