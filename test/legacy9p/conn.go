package legacy9p

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"9fans.net/go/plan9"
)

var le = binary.LittleEndian

const (
	headerSize = 7 // size[4] type[1] tag[2]

	version  = "9P2000"
	versionU = "9P2000.u"
	unknown  = "unknown"
)

// conn is one connection. It speaks Tversion itself, which starts a new session every time (version(5)); all else is srv9p's.
type conn struct {
	tree    *tree
	options Options
	rw      io.ReadWriteCloser
	in      *bufio.Reader
	out     *replies
}

func newConn(t *tree, o Options, rw io.ReadWriteCloser) *conn {
	return &conn{tree: t, options: o, rw: rw, in: bufio.NewReaderSize(rw, 128<<10)}
}

// serve returns the error that ended the connection: io.EOF when the client closed it between messages.
func (c *conn) serve(ctx context.Context) error {
	c.out = newReplies(c.rw)
	stop := context.AfterFunc(ctx, func() { c.rw.Close() })
	defer func() {
		c.out.close() // a client that has only ended its requests may read on
		stop()
		c.rw.Close()
	}()
	m, err := c.read(c.options.Msize)
	for err == nil {
		if m[4] != plan9.Tversion {
			c.out.add(rerror(m, "no version has been agreed on"))
			m, err = c.read(c.options.Msize)
			continue
		}
		var msize uint32
		var dialect string
		if msize, dialect, err = c.version(m); err != nil {
			return err
		}
		if dialect == unknown {
			m, err = c.read(c.options.Msize)
			continue
		}
		s := newSession(ctx, c, msize, dialect == versionU)
		m, err = s.serve()
	}
	return err
}

// read reads a message. It may have msize bytes.
func (c *conn) read(msize uint32) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return nil, err
	}
	n := le.Uint32(size[:])
	if n < headerSize || n > msize {
		return nil, plan9.ProtocolError(fmt.Sprintf("a message of %d bytes", n))
	}
	m := make([]byte, n)
	copy(m, size[:])
	if _, err := io.ReadFull(c.in, m[4:]); err != nil {
		return nil, fmt.Errorf("in a message of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	return m, nil
}

// version answers Tversion.
func (c *conn) version(m []byte) (msize uint32, dialect string, err error) {
	f, err := plan9.UnmarshalFcall(m)
	if err != nil {
		return 0, "", err
	}
	if f.Msize < minMsize {
		c.out.add(rerror(m, "message size too small"))
		return 0, unknown, nil
	}
	msize, dialect = min(f.Msize, c.options.Msize), c.dialect(f.Version)
	r, err := (&plan9.Fcall{Type: plan9.Rversion, Tag: f.Tag, Msize: msize, Version: dialect}).Bytes()
	c.out.add(r)
	return msize, dialect, err
}

// dialect is the version that answers v: what follows a period names a variant, and the server may fall back to plain 9P2000.
func (c *conn) dialect(v string) string {
	switch base, _, _ := strings.Cut(v, "."); {
	case base != version:
		return unknown
	case v == versionU && c.options.U:
		return versionU
	}
	return version
}

// rerror is a plain Rerror to message m.
func rerror(m []byte, ename string) []byte {
	b, err := (&plan9.Fcall{Type: plan9.Rerror, Tag: le.Uint16(m[5:]), Ename: ename}).Bytes()
	if err != nil {
		panic(err) // Rerror has no way to fail
	}
	return b
}
