package faultproxy

import (
	"encoding/binary"
	"time"
)

// heldMessage waits for Release.
type heldMessage struct {
	lane *lane
	m    message
}

// obey does to a message of this lane what the rule says. The message is ours.
func (o *lane) obey(r Rule, m message) error {
	if r.Delay > 0 {
		o.delays.add(time.Now().Add(r.Delay), len(m), func() { o.act(r, m) })
		return nil
	}
	return o.act(r, m)
}

func (o *lane) act(r Rule, m message) error {
	l := o.link
	switch r.Action {
	case "reply":
		return l.down.send(errorReply(rlerror, m.tag(), r.Errno))
	case "rerror107":
		return l.down.send(errorReply(rerror, m.tag(), r.Errno))
	case "ename":
		return l.down.send(enameReply(m.tag(), r.Ename))
	case "drop":
		return nil
	case "take":
		m, _ = m.cutPayload(countAtT, int(r.N))
		return o.send(m)
	case "short":
		m, _ = m.cutPayload(countAtR, int(r.N))
		return o.send(m)
	case "cut":
		return o.cut(r.Where, m)
	case "garbage":
		l.p.fillRandom(m[headerSize:])
		return o.send(m)
	case "badframe":
		tag := m.tag()
		size := uint32(r.N)
		if r.N == bareN {
			size = 1<<32 - 1
		}
		m.setSize(size)
		if !o.up {
			l.p.traffic.answered(l.pending, tag)
		}
		return o.sendBytes(m)
	case "badtag":
		m.setTag(l.p.traffic.freeTag(l.pending, m.tag()))
		return o.sendBytes(m)
	case "badtype":
		m[4] += 2
		if r.N != bareN {
			m[4] = uint8(r.N)
		}
		return o.send(m)
	case "dup":
		if err := o.send(m); err != nil {
			return err
		}
		return o.send(m)
	case "hold":
		l.p.mu.Lock()
		l.p.mu.held = append(l.p.mu.held, heldMessage{o, m})
		l.p.mu.Unlock()
		return nil
	}
	return o.send(m)
}

// cut ends the connection before, in the middle of, or behind m.
func (o *lane) cut(where string, m message) error {
	o.link.only.CompareAndSwap(nil, o)
	n := map[string]int{"": 0, "mid": len(m) / 2, "after": len(m)}[where]
	if n > 0 {
		if err := o.sendBytes(m[:n]); err != nil {
			return err
		}
	}
	o.link.cutBehind(o)
	return errEnded
}

func (p *Proxy) fillRandom(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], p.mu.random.Uint64())
		b = b[copy(b, word[:]):]
	}
}
