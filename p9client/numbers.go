package p9client

import "sync"

const (
	defaultMaxFids = 16384

	// spareFids is how many fids that are not open have numbers even if the open
	// ones have taken all: the directories where work goes on.
	spareFids = 64
)

// numbers are the numbers that fids have on the present connection. Servers let
// a client have so many; when there are too many, a fid that is not open and was
// not used lately gives its number up and is walked again when it is needed, as
// after a reconnect. The order is that of a clock: a hand goes round, and takes
// the number of a fid that was not used since it came by before.
type numbers struct {
	max int // 0: no bound

	mu   sync.Mutex // guards what follows, and Fid.slot and Fid.kept
	c    *conn      // whose numbers they are; nil while down
	ring []*Fid
	hand int    // in ring
	kept []*Fid // those that the hand found open, or removed: they keep their number
}

// begin starts anew: with c, or after its loss with nil. A fid that has a number
// on the connection before forgets it, and that connection.
func (k *numbers) begin(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range [][]*Fid{k.ring, k.kept} {
		for _, f := range l {
			f.slot, f.kept = 0, false
			if at := f.at.Load(); at != nil && at.c == k.c {
				f.iounit.Store(at.iounit)
				f.at.CompareAndSwap(at, nil)
			}
		}
	}
	k.c, k.ring, k.kept, k.hand = c, nil, nil, 0
}

// lower is told that the server takes fewer fids than max.
func (k *numbers) lower(limit int) {
	k.mu.Lock()
	if k.max == 0 || limit < k.max {
		k.max = limit
	}
	c, dropped := k.c, k.makeRoomLocked()
	k.mu.Unlock()
	for _, num := range dropped {
		c.clunk(num)
	}
}

// makeRoomLocked takes numbers from fids until there is room for one more, or all
// are used, and returns them.
func (k *numbers) makeRoomLocked() (dropped []uint32) {
	for k.fullLocked() {
		num, ok := k.dropLocked()
		if !ok {
			break
		}
		dropped = append(dropped, num)
	}
	return dropped
}

// add tells that f has got the number at, and makes room for the next.
func (k *numbers) add(f *Fid, at *standing) {
	f.used.Store(true)
	var dropped []uint32
	k.mu.Lock()
	switch {
	case at.c != k.c: // lost meanwhile
		f.at.CompareAndSwap(at, nil)
	case f.slot == 0:
		k.insertLocked(f)
		dropped = k.makeRoomLocked()
	}
	k.mu.Unlock()
	for _, num := range dropped {
		at.c.clunk(num)
	}
}

// fullLocked reports whether there is no room for the next fid. The root's number
// is one more.
func (k *numbers) fullLocked() bool {
	return k.max > 0 && len(k.ring)+len(k.kept)+1 >= k.max && len(k.ring) > min(spareFids, k.max/4)
}

// dropLocked takes a fid's number; ok is false if all are being used.
func (k *numbers) dropLocked() (num uint32, ok bool) {
	for steps := 2 * len(k.ring); steps > 0 && len(k.ring) > 0; steps-- {
		if k.hand >= len(k.ring) {
			k.hand = 0
		}
		f := k.ring[k.hand]
		if f.used.Load() {
			f.used.Store(false)
			k.hand++
			continue
		}
		at, may := f.giveUp()
		switch may {
		case notNow:
			k.hand++
		case never:
			k.removeLocked(f)
			k.hand++
			k.kept = append(k.kept, f)
			f.slot, f.kept = len(k.kept), true
		case yes:
			// The newest comes in its place, and is the last that the hand meets.
			k.removeLocked(f)
			k.hand++
			if at != nil {
				return at.num, true
			}
		}
	}
	return 0, false
}

// A consent is whether a fid may lose its number.
type consent int

const (
	yes    consent = iota
	notNow         // a call uses it
	never          // it is open, or could not be walked to again
)

// giveUp takes the fid's number from it, with numbers.mu held. A call that wants
// the number first pins the fid and then looks; here at is emptied first and then
// the pins are counted: either the call finds none, or it is seen here.
func (f *Fid) giveUp() (*standing, consent) {
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	default:
		return nil, notNow
	}
	if f.open || f.removed() {
		return nil, never
	}
	at := f.at.Swap(nil)
	if f.pins.Load() > 0 {
		f.at.Store(at)
		return nil, notNow
	}
	return at, yes
}

func (f *Fid) removed() bool {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.name.goneLocked()
}

// remove takes f out, and its number from it.
func (k *numbers) remove(f *Fid) *standing {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removeLocked(f)
	return f.at.Swap(nil)
}

// give gives f the number of by, and returns the one that f had.
func (k *numbers) give(f, by *Fid) *standing {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.removeLocked(f)
	k.removeLocked(by)
	at := by.at.Swap(nil)
	if at != nil && at.c == k.c {
		k.insertLocked(f)
	}
	return f.at.Swap(at)
}

func (k *numbers) insertLocked(f *Fid) {
	k.ring = append(k.ring, f)
	f.slot, f.kept = len(k.ring), false
}

func (k *numbers) removeLocked(f *Fid) {
	if f.slot == 0 {
		return
	}
	l := &k.ring
	if f.kept {
		l = &k.kept
	}
	last := len(*l) - 1
	(*l)[f.slot-1] = (*l)[last]
	(*l)[f.slot-1].slot = f.slot
	(*l)[last] = nil
	*l = (*l)[:last]
	f.slot, f.kept = 0, false
}
