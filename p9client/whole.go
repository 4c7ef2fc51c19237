package p9client

import (
	"context"
	"crypto/tls"
	"net"
)

// writesWhole tells whether a Write to nc must not be interrupted: crypto/tls
// cannot be written to any more after a write deadline has passed.
func writesWhole(nc net.Conn) bool {
	switch nc.(type) {
	case *tls.Conn, *tlsConn:
		return true
	}
	return false
}

// writeWhole is write for such a connection: another goroutine writes a copy of
// the message to its end, and has the pen, which the caller gives it, until then.
// The caller waits no longer than his ctx.
func (c *conn) writeWhole(ctx context.Context, header, payload []byte) (begun bool, err error) {
	if ctx.Err() != nil {
		<-c.pen
		return false, context.Cause(ctx)
	}
	c.copy = append(append(c.copy[:0], header...), payload...)
	done := make(chan error, 1)
	if !c.spawn(func() { done <- c.finishWrite(c.copy) }) {
		<-c.pen
		return false, &lostError{cause: c.err, unsent: true}
	}
	select {
	case err := <-done:
		if err != nil {
			return true, &lostError{cause: err}
		}
		return true, nil
	case <-ctx.Done():
		return true, context.Cause(ctx)
	}
}
