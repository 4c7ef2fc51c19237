//go:build matrix

package matrix

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

// A verdict is what a call may answer. The zero verdict is 0 and nothing else.
type verdict struct {
	waits  bool            // not before the fault is healed, and then 0
	errnos []syscall.Errno // one of these, and not 0
	conn   bool            // an errno that says the connection is lost, and not 0
	sigbus bool            // SIGBUS, and not 0
	orZero bool            // but 0 too
}

// connErrnos are what the loss of a connection amounts to.
var connErrnos = []syscall.Errno{
	syscall.ETIMEDOUT, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, syscall.EIO, syscall.EPROTO, syscall.ECONNABORTED,
}

// admits tells whether the call may have answered err.
func (v verdict) admits(err error) bool {
	if err == nil {
		return v.orZero || v.waits || !v.conn && !v.sigbus && len(v.errnos) == 0
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, p9test.ErrSIGBUS):
		return v.sigbus
	case errors.As(err, &errno):
		return slices.Contains(v.errnos, errno) || v.conn && slices.Contains(connErrnos, errno)
	}
	return false
}

func (v verdict) String() string {
	s := "0"
	switch {
	case v.waits:
		return "0, once healed"
	case v.sigbus:
		s = "SIGBUS"
	case v.conn:
		s = "a lost connection's errno"
	case len(v.errnos) > 0:
		s = fmt.Sprint(v.errnos)
	}
	if v.orZero {
		s += " or 0"
	}
	return s
}

// A view is what PROMISES.md says of a case while its fault lasts.
type view struct {
	trigger verdict // the call that causes the message, where that is not the sync
	sync    verdict // msync or fsync of fresh bytes
	again   verdict // the next one, and that of another handle
	held    bool    // .errors has a line of the file that is written
	state   errjournal.State
	errno   syscall.Errno // of that line, 0: any
}

// verdicts is the oracle.
func (c cell) verdicts() (v view) {
	switch e := c.refusal(); {
	case c.loses() && c.lasting:
		v = c.lostLasting()
	case c.loses():
		v = c.lostOnce()
	case e != 0:
		v = c.refused(e)
	}
	return v
}

// needs tells whether the triggering call cannot be answered without the server.
// Names and attributes that are known are (rules behind the table).
func (c cell) needs() bool {
	return c.at == "open" && c.msg != "Tclunk" || c.at == "create" || c.at == "truncate" || c.at == "read"
}

// read makes a verdict one of a load or a read(2) that finds no connection (rows 2
// and 3).
func (c cell) read(orZero bool) verdict {
	if c.mode == "mmap" {
		return verdict{sigbus: true, orZero: orZero}
	}
	return verdict{errnos: []syscall.Errno{syscall.EIO}, orZero: orZero}
}

// lostOnce is a loss after which the next connection is there at once.
func (c cell) lostOnce() (v view) {
	if c.at == "create" && c.fault != "cut" {
		v.trigger = verdict{errnos: []syscall.Errno{syscall.EIO}, orZero: true} // "ambiguous"
	}
	if c.policy != "fail" {
		return v
	}
	lost := verdict{conn: true, orZero: true}
	v.trigger, v.sync, v.again = lost, lost, lost
	if c.at == "read" {
		v.trigger = c.read(true)
	}
	return v
}

// lostLasting is a loss that stays (rows 2, 3, 15 and 17).
func (c cell) lostLasting() (v view) {
	lost := verdict{waits: true}
	switch c.policy {
	case "expire":
		lost = verdict{errnos: []syscall.Errno{syscall.ETIMEDOUT}}
	case "fail":
		lost = verdict{conn: true}
	}
	v.sync, v.again, v.held, v.state = lost, lost, true, errjournal.Pending
	switch {
	case c.at == "read" && c.policy != "hold":
		v.trigger = c.read(false)
	case c.needs():
		v.trigger = lost
	}
	return v
}

// refused is an error of the server (rows 4 and 11).
func (c cell) refused(e syscall.Errno) (v view) {
	refused := verdict{errnos: []syscall.Errno{e}}
	syncs := c.at == "sync" || c.at == "reconnect"
	plain := c.server == p9test.Legacy
	// 9P2000 has no other word for "I cannot sync by a Twstat": what is acknowledged counts
	// then.
	unable := plain && (e == syscall.EACCES || e == syscall.EPERM)
	switch {
	case c.at == "read":
		v.trigger = verdict{errnos: []syscall.Errno{e}, orZero: !c.lasting}
		if c.mode == "mmap" {
			v.trigger = verdict{sigbus: true, orZero: !c.lasting}
		}
	case c.msg == "Tflush": // whatever it answers is a sign of life
	case c.msg == "Tfsync" && unable:
		syncs = false
	case syncs:
		v.sync = refused
	default:
		v.trigger = refused
		if c.at == "truncate" && (e == syscall.EACCES || e == syscall.EPERM) {
			v.trigger.orZero = !c.lasting // tried on the fid that is open for writing
		}
		if c.msg == "Twalk" {
			v.trigger.orZero = !c.lasting // of a name that is known: the kernel asks anew
		}
	}
	if plain && c.msg == "Tsetattr" && c.lasting && !unable {
		v.sync, syncs = refused, true // which is a Twstat too
	}
	if syncs && c.lasting {
		v.again, v.held, v.state, v.errno = refused, true, errjournal.Failed, e
	}
	return v
}
