package rescue

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Magic is how a rescue file begins.
const Magic = "p9mapfs rescue file, version 1\n"

const (
	// MaxData is how many bytes of data an extent record has at most.
	MaxData = 1 << 20

	maxString = 1<<16 - 1
	maxBody   = MaxData + 4*maxString
	headLen   = 8 // of a record: size and crc
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type kind uint8

const (
	kindMount kind = iota + 1
	kindFile
	kindTruncation
	kindExtent
	kindEnd
	kindSending
	kindSent
)

// A Mount is what a rescue file was written by.
type Mount struct {
	Written    time.Time
	Live       bool // programs could still store
	Address    string
	Aname      string
	Uname      string
	NUname     uint32 // Tattach's n_uname
	Dialect    string
	Mountpoint string
}

// An Attr is what tells a file's contents from later ones.
type Attr struct {
	Set          bool   // the rest is known
	Version      uint32 // of the qid; 0: the server keeps none
	Size         int64  // bytes
	Mtime, Ctime time.Time
}

// Same reports whether the file is as it was.
func (a Attr) Same(b Attr) bool {
	if a.Version != 0 && b.Version != 0 {
		return a.Version == b.Version
	}
	return a.Size == b.Size && a.Mtime.Equal(b.Mtime) && a.Ctime.Equal(b.Ctime)
}

// Meta is what is known of a file.
type Meta struct {
	Path    string // below the attach
	QidPath uint64
	QidType uint8
	Known   Attr   // as the server gave them last
	Sent    bool   // writes of ours may have reached the server since
	Grown   int64  // bytes: the largest size that our writes may have given the file
	Errno   uint32 // of the server's newest refusal, 0: none
	Why     string // its words
}

// An Extent is a run of bytes that the server lacks, or has not made durable.
type Extent struct {
	Off   int64
	Data  []byte
	State string // writeback's word for it
	Errno uint32 // why it is there, 0: it was not refused
}

// A File is what the server lacks of one file: sizes that it was cut to, in order,
// and bytes stored after that.
type File struct {
	Meta
	Truncations []int64
	Extents     []Extent
}

// A body is a record's body while it is made.
type body []byte

func (b body) u8(v uint8) body   { return append(b, v) }
func (b body) u32(v uint32) body { return binary.LittleEndian.AppendUint32(b, v) }
func (b body) u64(v uint64) body { return binary.LittleEndian.AppendUint64(b, v) }

func (b body) bool(v bool) body {
	if v {
		return b.u8(1)
	}
	return b.u8(0)
}

// str cuts what is too long, so that a record always has its bounds. Paths never
// are: see File.check.
func (b body) str(s string) body {
	s = s[:min(len(s), maxString)]
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

func (b body) time(t time.Time) body {
	return b.u64(uint64(t.Unix())).u32(uint32(t.Nanosecond()))
}

func (b body) attr(a Attr) body {
	return b.bool(a.Set).u32(a.Version).u64(uint64(a.Size)).time(a.Mtime).time(a.Ctime)
}

// begin starts a record in b's memory, with room for its head.
func begin(b []byte, k kind) body { return append(append(b[:0], make([]byte, headLen)...), byte(k)) }

// frame fills the head in.
func (b body) frame() []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-headLen))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[headLen:], castagnoli))
	return b
}

// The functions below return whole records, in buf if that is large enough.

func mountRecord(buf []byte, m Mount) []byte {
	return begin(buf, kindMount).time(m.Written).bool(m.Live).u32(m.NUname).
		str(m.Address).str(m.Aname).str(m.Uname).str(m.Dialect).str(m.Mountpoint).frame()
}

func fileRecord(buf []byte, n uint32, m Meta, truncations, extents int) []byte {
	return begin(buf, kindFile).u32(n).u64(m.QidPath).u8(m.QidType).attr(m.Known).bool(m.Sent).u64(uint64(m.Grown)).
		u32(m.Errno).u32(uint32(truncations)).u32(uint32(extents)).str(m.Path).str(m.Why).frame()
}

func truncationRecord(buf []byte, n uint32, size int64) []byte {
	return begin(buf, kindTruncation).u32(n).u64(uint64(size)).frame()
}

func extentRecord(buf []byte, n uint32, e Extent) []byte {
	b := begin(buf, kindExtent).u32(n).u64(uint64(e.Off)).u32(e.Errno).str(e.State)
	return append(b, e.Data...).frame()
}

func endRecord(buf []byte, records uint64, sum uint32) []byte {
	return begin(buf, kindEnd).u64(records).u32(sum).frame()
}

func sendingRecord(buf []byte, n uint32, a Attr) []byte {
	return begin(buf, kindSending).u32(n).attr(a).frame()
}

func sentRecord(buf []byte, n uint32) []byte { return begin(buf, kindSent).u32(n).frame() }
