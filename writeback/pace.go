package writeback

import "time"

// A pace is how fast the server takes bytes and how long its Tfsync takes, both
// smoothed.
type pace struct {
	rate float64       // bytes per second while Rwrites follow each other
	sync time.Duration // of one Tfsync

	since, last time.Time // begin of the present measurement, and the last Rwrite
	n           int64     // bytes acknowledged after since
}

const (
	paceWindow = 100 * time.Millisecond // of one measurement of the rate; a longer pause is no part of one
	paceWeight = 4                      // a measurement counts for one part of so many
)

// acknowledged is told of an Rwrite of n bytes.
func (p *pace) acknowledged(now time.Time, n int64) {
	if now.Sub(p.last) > paceWindow {
		p.since, p.last, p.n = now, now, 0
		return
	}
	p.last = now
	p.n += n
	d := now.Sub(p.since)
	if d < paceWindow {
		return
	}
	p.rate = smooth(p.rate, float64(p.n)/d.Seconds())
	p.since, p.n = now, 0
}

// synced is told of a Tfsync that took d.
func (p *pace) synced(d time.Duration) {
	p.sync = time.Duration(smooth(float64(p.sync), float64(d)))
}

func smooth(was, is float64) float64 {
	if was == 0 {
		return is
	}
	return was + (is-was)/paceWeight
}

// bound is how many bytes may be unstable before a Tfsync is sent for them: twice
// what arrives during one, so that the next is never waited for. It is not less
// than Unstable, and it ends at half of UnstableMost (the other half may arrive
// meanwhile): where a Tfsync takes the longer the more there is to sync, it would
// grow for ever.
func (p *pace) bound(o Options) int64 {
	want := 2 * p.rate * p.sync.Seconds()
	return max(o.Unstable, int64(min(want, float64(o.UnstableMost/2))))
}
