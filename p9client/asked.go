package p9client

import (
	"errors"
	"syscall"
)

var errAsked = errors.New("given up on request")

// Reconnect gives the present connection up, as if it had been lost; while there is
// none it does nothing. It fails with EOPNOTSUPP where there can be no other
// connection: an inherited descriptor serves once.
func (s *Session) Reconnect() error {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	switch {
	case c == nil:
	case c.addr.Network == "fd":
		return &Error{Op: "reconnect", Errno: syscall.EOPNOTSUPP, Ename: "an inherited descriptor serves once"}
	default:
		c.lose(errAsked)
	}
	return nil
}
