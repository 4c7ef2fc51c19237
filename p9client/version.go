package p9client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// dialect is the one that this client speaks.
const dialect = "9P2000.L"

const (
	minMsize   = 256
	maxVersion = 1024 // bytes of an Rversion that are read at most
)

var errNot9P = errors.New("the server does not speak 9P; check host and port")

// version exchanges Tversion on a new connection, before anything else is sent,
// and returns the msize that both sides keep.
func version(nc net.Conn, msize uint32) (uint32, error) {
	var e encoder
	e.begin(tversion)
	e.u32(msize)
	e.str(dialect)
	e.finish(noTag, 0)
	if _, err := nc.Write(e.b); err != nil {
		return 0, fmt.Errorf("Tversion: %w", err)
	}
	h := make([]byte, headerLen)
	if _, err := io.ReadFull(nc, h); err != nil {
		return 0, fmt.Errorf("no answer to Tversion (%w): %w", err, errNot9P)
	}
	size := binary.LittleEndian.Uint32(h)
	typ, tag := h[4], binary.LittleEndian.Uint16(h[5:])
	known := typ == tversion+1 || typ == rlerror || typ == rerror
	if size < headerLen || size > maxVersion || !known || tag != noTag {
		return 0, fmt.Errorf("the answer to Tversion makes no sense: %w", errNot9P)
	}
	body := make([]byte, size-headerLen)
	if _, err := io.ReadFull(nc, body); err != nil {
		return 0, fmt.Errorf("Rversion: %w: %w", err, errNot9P)
	}
	if typ != tversion+1 {
		err := errorReply(typ, body)
		return 0, fmt.Errorf("the server refuses %s: %w; a server of another dialect cannot be used", dialect, err)
	}
	d := decoder{b: body}
	got, name := d.u32(), d.str()
	if d.end() != nil {
		return 0, fmt.Errorf("Rversion makes no sense: %w", errNot9P)
	}
	if base, _, _ := strings.Cut(name, ".Google"); base != dialect {
		return 0, fmt.Errorf("no common dialect: the server speaks %q, this client %s", name, dialect)
	}
	if got > msize || got < minMsize {
		return 0, fmt.Errorf("the server wants messages of %d bytes; asked were at most %d, and %d are too few", got, msize, minMsize)
	}
	return got, nil
}

// attach makes the root fid of a connection, number 0.
func (c *conn) attach(ctx context.Context, o Options) (Qid, error) {
	cl := newCall(tattach)
	cl.enc.u32(c.root)
	cl.enc.u32(noFid)
	cl.enc.str(o.Uname)
	cl.enc.str(o.Aname)
	cl.enc.u32(o.NUname)
	if _, err := c.rpc(ctx, cl, nil); err != nil {
		return Qid{}, err
	}
	d := decoder{b: cl.body}
	q := d.qid()
	return q, d.end()
}
