package export

import (
	"encoding/binary"
	"fmt"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// The types of 9P2000.L messages that the core or a conn knows; a reply is its
// request plus one.
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
	tauth        = 102
	tattach      = 104
	tflush       = 108
	twalk        = 110
	tread        = 116
	twrite       = 118
	tclunk       = 120
	tremove      = 122
	twalkgetattr = 126 // 9P2000.L.Google.2
	tucreate     = 128 // 9P2000.L.Google.3
	tumkdir      = 130
	tumknod      = 132
	tusymlink    = 134
)

const (
	headerSize = 7      // size[4] type[1] tag[2]
	noTag      = 0xffff // Tversion's
	noFid      = 0xffffffff
	maxWelem   = 16             // names in a Twalk (walk(5))
	readHeader = headerSize + 4 // of an Rread
	// writeHeader is what a Twrite has before its data.
	writeHeader = headerSize + 4 + 8 + 4
)

var le = binary.LittleEndian

// header is the beginning of every message.
type header struct {
	size uint32 // of the whole message
	typ  byte
	tag  uint16
}

func parseHeader(b []byte) header {
	return header{size: le.Uint32(b), typ: b[4], tag: le.Uint16(b[5:])}
}

// frame makes a message of a body.
func frame(typ byte, tag uint16, body []byte) []byte {
	b := make([]byte, 0, headerSize+len(body))
	b = le.AppendUint32(b, uint32(headerSize+len(body)))
	b = append(b, typ)
	b = le.AppendUint16(b, tag)
	return append(b, body...)
}

func errorFrame(tag uint16, e linux.Errno) []byte {
	return frame(rlerror, tag, le.AppendUint32(nil, uint32(e)))
}

func appendString(b []byte, s string) []byte {
	return append(le.AppendUint16(b, uint16(len(s))), s...)
}

func appendQID(b []byte, q p9.QID) []byte {
	b = le.AppendUint32(append(b, byte(q.Type)), q.Version)
	return le.AppendUint64(b, q.Path)
}

// A body is what is left to parse of a message. After the first lack of bytes
// everything is zero and short is set.
type body struct {
	b     []byte
	short bool
}

func (p *body) take(n int) []byte {
	if len(p.b) < n {
		p.short, p.b = true, nil
		return make([]byte, n)
	}
	v := p.b[:n]
	p.b = p.b[n:]
	return v
}

func (p *body) u8() byte    { return p.take(1)[0] }
func (p *body) u16() uint16 { return le.Uint16(p.take(2)) }
func (p *body) u32() uint32 { return le.Uint32(p.take(4)) }
func (p *body) u64() uint64 { return le.Uint64(p.take(8)) }
func (p *body) str() string { return string(p.take(int(p.u16()))) }

// protocolError ends a connection: what came is not 9P, or not after its rules.
type protocolError struct{ what string }

func (e *protocolError) Error() string { return "9P: " + e.what }

func broken(format string, a ...any) error { return &protocolError{fmt.Sprintf(format, a...)} }
