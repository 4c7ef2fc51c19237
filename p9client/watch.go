package p9client

import (
	"fmt"
	"syscall"
	"time"
)

// watch gives the connection up when the server has been silent for timeout
// though a request is in flight. A request that merely takes long does not end
// it: halfway, the server is asked for a sign of life.
func (c *conn) watch() {
	t := time.NewTicker(max(c.timeout/8, time.Millisecond))
	defer t.Stop()
	var probed time.Time
	for {
		select {
		case <-c.lost:
			return
		case now := <-t.C:
			oldest := c.oldest()
			heard := time.Unix(0, c.heard.Load())
			switch {
			case oldest.IsZero() || now.Sub(oldest) < c.timeout/2 || now.Sub(heard) < c.timeout/2:
			case probed.Before(heard) || probed.Before(oldest):
				probed = now
				c.probe()
			case now.Sub(heard) > c.timeout && now.Sub(oldest) > c.timeout:
				c.lose(fmt.Errorf("%w: the server has been silent for %v", syscall.ETIMEDOUT, c.timeout))
			}
		}
	}
}

// probe asks for a reply that costs nothing: the flush of a request that does
// not exist.
func (c *conn) probe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendFlushLocked(probeTag, probeTag)
}

// oldest returns when the oldest request was sent that the server has not answered.
func (c *conn) oldest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var t time.Time
	for i := range c.slots {
		if s := &c.slots[i]; (s.inFlight || s.flushing) && (t.IsZero() || s.since.Before(t)) {
			t = s.since
		}
	}
	return t
}
