package faultproxy

import (
	"context"
	"fmt"
	"sync"
)

const keptSizes = 1 << 17 // a message name; older ones are forgotten

// traffic counts messages as they come in, before any rule.
type traffic struct {
	watch
	mu       sync.Mutex // guards everything below
	count    [256]int
	sizes    [256][]int
	inFlight [256]int // of T types, all connections
	most     [256]int
	all      int
	mostAll  int
}

// arrive counts a message; pending is the connection's table of unanswered tags.
func (t *traffic) arrive(pending map[uint16]uint8, typ uint8, tag uint16, n int) {
	t.mu.Lock()
	t.count[typ]++
	if len(t.sizes[typ]) == keptSizes {
		t.sizes[typ] = append(t.sizes[typ][:0], t.sizes[typ][keptSizes/2:]...)
	}
	t.sizes[typ] = append(t.sizes[typ], n)
	if typ&1 == 0 {
		t.answeredLocked(pending, tag) // the client used the tag again: it gave the old one up
		pending[tag] = typ
		t.inFlight[typ]++
		t.all++
		t.most[typ] = max(t.most[typ], t.inFlight[typ])
		t.mostAll = max(t.mostAll, t.all)
	}
	t.mu.Unlock()
	t.touch()
}

// answered says that a reply to tag goes to the client.
func (t *traffic) answered(pending map[uint16]uint8, tag uint16) {
	t.mu.Lock()
	t.answeredLocked(pending, tag)
	t.mu.Unlock()
}

func (t *traffic) answeredLocked(pending map[uint16]uint8, tag uint16) {
	if typ, ok := pending[tag]; ok {
		delete(pending, tag)
		t.inFlight[typ]--
		t.all--
	}
}

// abandon says that the connection of pending is gone.
func (t *traffic) abandon(pending map[uint16]uint8) {
	t.mu.Lock()
	for tag := range pending {
		t.answeredLocked(pending, tag)
	}
	t.mu.Unlock()
	t.touch()
}

// freeTag finds a tag that is not in use, other than tag itself.
func (t *traffic) freeTag(pending map[uint16]uint8, tag uint16) uint16 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := tag ^ 0x5555; ; c++ {
		if _, used := pending[c]; !used && c != tag && c != noTag {
			return c
		}
	}
}

func (t *traffic) sum(name string, table *[256]int) int {
	mustName(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for typ, n := range table {
		if names(name, uint8(typ)) {
			total += n
		}
	}
	return total
}

func mustName(name string) {
	if name == "T*" || name == "R*" {
		return
	}
	if _, err := parseName(name); err != nil {
		panic("faultproxy: " + err.Error())
	}
}

// Count is the number of messages of that name (also T* and R*) that came in since Start, whatever
// became of them. Like every method that takes a name, it panics if there is no such message.
func (p *Proxy) Count(name string) int { return p.traffic.sum(name, &p.traffic.count) }

// Sizes lists, in the order of their coming, the payloads in bytes of the messages of that
// name: what Twrite, Rread and Rreaddir carry, what Tread and Treaddir ask for, what Rwrite
// acknowledges; of others everything behind the tag. The newest 65536 at least are kept.
func (p *Proxy) Sizes(name string) []int {
	typ, err := parseName(name)
	if err != nil {
		panic("faultproxy: " + err.Error())
	}
	p.traffic.mu.Lock()
	defer p.traffic.mu.Unlock()
	return append([]int(nil), p.traffic.sizes[typ]...)
}

// MaxInFlight is the largest number of T-messages of that name that were unanswered at one
// time, over all connections; "T*" means of any name.
func (p *Proxy) MaxInFlight(name string) int {
	mustName(name)
	p.traffic.mu.Lock()
	defer p.traffic.mu.Unlock()
	if name == "T*" {
		return p.traffic.mostAll
	}
	for typ, n := range p.traffic.most {
		if names(name, uint8(typ)) {
			return n
		}
	}
	return 0
}

// ResetMaxInFlight starts the measurement of MaxInFlight again.
func (p *Proxy) ResetMaxInFlight() {
	p.traffic.mu.Lock()
	defer p.traffic.mu.Unlock()
	p.traffic.most, p.traffic.mostAll = p.traffic.inFlight, p.traffic.all
}

// WaitCount waits until Count(name) has reached n. Its error tells how far it came.
func (p *Proxy) WaitCount(ctx context.Context, name string, n int) error {
	err := p.traffic.wait(ctx, func() bool { return p.Count(name) >= n })
	if err != nil {
		return fmt.Errorf("waiting for %d %s, %d came: %w", n, name, p.Count(name), err)
	}
	return nil
}
