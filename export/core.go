package export

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/hugelgupf/p9/p9"
)

// The core (p9/server.go of 0.3.0) starts a goroutine when it has read a request
// and finds nobody who waits to read the next (507); the new one enters the
// connection's WaitGroup only once it runs (473). At the end Handle waits for the
// group (591). An entry from zero while that Wait returns panics, outside of any
// handler, and the process is gone; TestEndsOfConnectionsDoNotRace shows it when
// [conn.leave] is made to return.
//
// Whether a goroutine was started that does not run yet cannot be seen from
// outside, unless no goroutine ever comes back to read: then every request read
// starts exactly one, that one is the next reader, and the reader who is told the
// end is the last of all. So each serves one request and ends. The one place for
// it is the core's log line about a reply that could not be sent (545): behind
// the reply, with no lock held and only the WaitGroup's Done deferred. That is why
// [conn.Write] says of every reply that went out that it did not. What the core
// skips then (547: keep the message for another request) is one small allocation;
// goroutine and all cost a microsecond of CPU for each request.
//
// Handle's own goroutine, which has the first request, cannot end so. It waits in
// the same place for the end of input, and Handle's Wait then has nothing to fear.

// Errors by which Write tells leave, through the core's log, whose goroutine calls.
var (
	errFirst = errors.New("the core's first reply is out")
	errSent  = errors.New("a reply is out")
)

// leave ends the calling goroutine of the core, behind its reply.
func (c *conn) leave(err error) {
	if errors.Is(err, errFirst) {
		<-c.over
		return
	}
	runtime.Goexit()
}

// coreLog takes the core's log, which is a line for every message. Only a panic
// is worth a line of ours; it cost one request, answered EFAULT.
type coreLog struct{ c *conn }

func (l coreLog) Print(...any) {}

func (l coreLog) Printf(format string, v ...any) {
	switch {
	case format == "p9.send: %v" && len(v) == 1:
		err, _ := v[0].(error)
		l.c.leave(err)
	case strings.HasPrefix(format, "panic"):
		l.c.srv.log.Error("export: " + fmt.Sprintf(format, v...))
	}
}

// lingerTime is how long requests may be served on after the end of input.
const lingerTime = 10 * time.Second

// errLinger is why a connection ends whose last requests did not.
var errLinger = errors.New("export: requests are still being served, and left to themselves")

// serve runs the core until the connection ends, and returns why, nil for its
// orderly end. Requests that the host keeps for longer than lingerTime beyond it
// cannot be stopped; they are left behind, and so are the fids, until they return.
func (c *conn) serve() error {
	core := p9.NewServer(c, p9.WithServerLogger(coreLog{c}))
	done := make(chan struct{})
	c.srv.users.Add(1)
	go func() {
		defer close(done)
		core.Handle(c, c) // always nil; returns after all handlers did
		c.srv.used()
	}()
	<-c.over
	linger := time.NewTimer(c.srv.linger)
	defer linger.Stop()
	select {
	case <-done:
		c.end(io.EOF)
	case <-linger.C:
		c.end(errLinger)
		c.srv.log.Error(errLinger.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == io.EOF {
		return nil
	}
	return c.err
}

// growStack makes room for a whole request while the goroutine is new and little
// is to be copied: else its stack doubles twice in the depths of a request, which
// costs as much as two system calls.
//
//go:noinline
func growStack() {
	var room [5 << 10]byte
	keep(&room)
}

//go:noinline
func keep(*[5 << 10]byte) {}
