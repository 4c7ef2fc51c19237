package raw

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

const (
	rlerror  = 7
	tlopen   = 12
	tgetattr = 24
	tversion = 100
	tattach  = 104
	rerror   = 107
	twalk    = 110
	tread    = 116
	rread    = 117

	headerSize = 7
	readHeader = headerSize + 4 // Rread: count[4]
	readRoom   = 24             // what a server may take off msize for headers (IOHDRSZ)
	noTag      = 0xffff
	noFid      = 1<<32 - 1
	maxWalk    = 16

	getattrSize = 1 << 9 // P9_GETATTR_SIZE
	sizeAt      = headerSize + 8 + 13 + 4 + 4 + 4 + 8 + 8
)

var le = binary.LittleEndian

// message is a T-message under construction.
type message []byte

func newMessage(typ uint8, tag uint16) message {
	return le.AppendUint16(append(make(message, 0, 64), 0, 0, 0, 0, typ), tag)
}

func (m message) u16(v int) message    { return le.AppendUint16(m, uint16(v)) }
func (m message) u32(v uint32) message { return le.AppendUint32(m, v) }
func (m message) u64(v uint64) message { return le.AppendUint64(m, v) }
func (m message) str(s string) message { return append(m.u16(len(s)), s...) }
func (m message) end() []byte          { le.PutUint32(m, uint32(len(m))); return m }

// appendTread appends one Tread to b.
func appendTread(b []byte, tag uint16, fid uint32, off int64, count int) []byte {
	b = le.AppendUint32(b, 23)
	b = le.AppendUint16(append(b, tread), tag)
	b = le.AppendUint64(le.AppendUint32(b, fid), uint64(off))
	return le.AppendUint32(b, uint32(count))
}

// replyError turns a whole error reply into an error; nil if it is none.
func replyError(m []byte) error {
	switch {
	case m[4] != rlerror && m[4] != rerror:
		return nil
	case len(m) == headerSize+4:
		return syscall.Errno(le.Uint32(m[headerSize:]))
	case m[4] == rerror && len(m) >= headerSize+2 && len(m) >= headerSize+2+int(le.Uint16(m[headerSize:])):
		return fmt.Errorf("the server says %q", m[headerSize+2:headerSize+2+int(le.Uint16(m[headerSize:]))])
	}
	return fmt.Errorf("a bad error reply of %d bytes", len(m))
}
