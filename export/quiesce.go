package export

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"
)

// The core (0.3.0) has a race at the end of a connection. It starts a goroutine
// for the next request and waits at the end for a WaitGroup that this goroutine
// enters only once it runs. If that is while Wait returns, the WaitGroup panics,
// outside of any handler, and the process is gone. So a conn reports the end of
// input only when every goroutine of its core has entered: the goroutines bear a
// pprof label, which they inherit, and the goroutine profile shows where they are.

// connLabel is the pprof label's key; it also helps people who look at profiles.
const connLabel = "p9mapfs.export.conn"

var connCount atomic.Uint64

// labelled runs fn with the label of a new connection and returns that label.
func (c *conn) labelled(fn func()) {
	c.label = strconv.FormatUint(connCount.Add(1), 10)
	pprof.Do(context.Background(), pprof.Labels(connLabel, c.label), func(context.Context) { fn() })
}

const (
	quiescePause = 100 * time.Microsecond
	quiesceTries = 20_000 // some seconds; a goroutine that is ready to run does
)

// quiesce waits until all requests are answered and all goroutines of the core
// but the caller, its reader, wait for their turn to read.
func (c *conn) quiesce() {
	c.mu.Lock()
	for c.inCore > 0 {
		c.changed.Wait()
	}
	c.mu.Unlock()
	for range quiesceTries {
		if c.allWait() {
			return
		}
		time.Sleep(quiescePause)
	}
	c.srv.log.Error("export: the core's goroutines do not come to rest")
}

// allWait looks for a goroutine of c's core that is neither the reader nor behind
// it at the core's receive lock.
func (c *conn) allWait() bool {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return true // no profile, no knowledge
	}
	label := []byte(strconv.Quote(connLabel) + ":" + strconv.Quote(c.label))
	for stack := range bytes.SplitSeq(b.Bytes(), []byte("\n\n")) {
		if !bytes.Contains(stack, label) || bytes.Contains(stack, []byte(".(*conn).quiesce+")) {
			continue
		}
		if !bytes.Contains(stack, []byte("(*Mutex).lockSlow+")) || !bytes.Contains(stack, []byte(".(*connState).handleRequest+")) {
			return false
		}
	}
	return true
}
