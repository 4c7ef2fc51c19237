package p9client

import (
	"fmt"
	"syscall"
	"time"
)

// watch gives the connection up when the server has been silent for too long.
//
// Silent means that no byte comes. While a request is in flight the server has
// timeout to show that it lives, and halfway it is asked for a sign of that, which
// costs it nothing. Any reply is one. A request may therefore take as long as it
// likes, be it that the server answers others or only the probes: it waits for a
// tape, say, or for somebody's lock. Its caller can interrupt it.
//
// While nothing is in flight the server is asked every timeout, and has half of
// that to answer. So the loss of a peer that vanished without a word, by a power cut
// or in a router that forgot the connection, is known before the next request has
// to wait for it; and a router is reminded.
func (c *conn) watch() {
	t := time.NewTicker(max(c.timeout/8, time.Millisecond))
	defer t.Stop()
	var probed time.Time
	for {
		select {
		case <-c.lost:
			return
		case now := <-t.C:
			heard := time.Unix(0, c.heard.Load())
			switch judge(now, heard, c.oldest(), probed, c.timeout) {
			case silent:
				c.lose(fmt.Errorf("%w: the server has been silent for %v", syscall.ETIMEDOUT, now.Sub(heard).Round(time.Millisecond)))
			case doubtful:
				probed = now
				c.probe()
			}
		}
	}
}

// A judgement on a server.
type judgement int

const (
	alive    judgement = iota
	doubtful           // it should be asked for a sign of life
	silent             // it is lost
)

// judge tells how a server stands that was heard of last at heard and probed last
// at probed. oldest is when the oldest request was sent that it has not answered,
// zero if there is none. The probe counts from when it was sent: the client itself
// may have been stopped for an hour.
func judge(now, heard, oldest, probed time.Time, timeout time.Duration) judgement {
	quiet, patience := now.Sub(heard), timeout
	if !oldest.IsZero() {
		quiet, patience = min(quiet, now.Sub(oldest)), timeout/2
	}
	asked := !probed.Before(heard)
	switch {
	case asked && now.Sub(probed) >= timeout/2:
		return silent
	case !asked && quiet >= patience:
		return doubtful
	}
	return alive
}

// probe asks for a reply that costs nothing: the flush of a request that does not
// exist.
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
