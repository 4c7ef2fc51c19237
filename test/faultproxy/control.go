package faultproxy

import (
	"context"
	"fmt"
)

// active is a rule that has been added.
type active struct {
	Rule
	sentence    string
	seen, fired int
	base        map[*link]int64 // conn: what had passed when the rule came
	over        map[*link]bool  // conn: links it has cut or let go
}

// Add makes the sentences rules, in this order behind those there are. If one is wrong none is
// added, and the error names the word. stall, refuse and heal act at once.
func (p *Proxy) Add(sentences ...string) error {
	rules := make([]Rule, len(sentences))
	for i, s := range sentences {
		r, err := ParseRule(s)
		if err != nil {
			return err
		}
		rules[i] = r
	}
	for _, r := range rules {
		var err error
		switch r.Subject {
		case "stall":
			p.Stall()
		case "refuse":
			p.Refuse()
		case "heal":
			err = p.Heal()
		default:
			p.add(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Proxy) add(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.journal.printf("rule %s", r)
	switch r.Subject {
	case "link":
		p.shape.Store(&r)
		return
	case "conn":
		a := &active{Rule: r, sentence: r.String(), base: make(map[*link]int64), over: make(map[*link]bool)}
		for l := range p.mu.links {
			a.base[l] = l.passed
		}
		p.mu.rules = append(p.mu.rules, a)
		p.counting.Store(true)
		return
	}
	p.mu.rules = append(p.mu.rules, &active{Rule: r, sentence: r.String()})
	p.watching.Store(true)
}

// Clear removes all rules, the link= too. Messages already delayed still come when
// they are due, held ones wait on for Release; Stall and Refuse stay.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.rules = nil
	p.watching.Store(false)
	p.counting.Store(false)
	p.shape.Store(nil)
	p.journal.printf("rules cleared")
}

// Stall stops forwarding in both directions; sockets stay open and fill up. New connections
// are taken and stall too.
func (p *Proxy) Stall() {
	if p.stalled.CompareAndSwap(nil, &stallGate{open: make(chan struct{})}) {
		p.journal.printf("stalled")
	}
}

// Resume ends Stall.
func (p *Proxy) Resume() {
	if g := p.stalled.Swap(nil); g != nil {
		p.journal.printf("resumed")
		close(g.open)
	}
}

// Release lets go of what hold kept, in the order of its coming, and tells how many messages that
// were; those of connections that have ended are lost.
func (p *Proxy) Release() int {
	p.mu.Lock()
	held := p.mu.held
	p.mu.held = nil
	p.mu.Unlock()
	n := 0
	for _, h := range held {
		select {
		case <-h.lane.link.dead:
			continue
		default:
		}
		if h.lane.send(h.m) == nil {
			n++
		}
	}
	p.journal.printf("released %d of %d", n, len(held))
	return n
}

// Held is the number of messages that wait for Release.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.held)
}

// Cut resets every connection, on both sides. New ones are welcome.
func (p *Proxy) Cut() {
	for _, l := range p.links() {
		l.reset("cut")
	}
}

// Heal undoes everything: Clear, Resume, Accept, Release. Connections that were cut
// stay cut. The error is Accept's.
func (p *Proxy) Heal() error {
	p.journal.printf("heal")
	p.Clear()
	p.Resume()
	p.Release()
	return p.Accept()
}

// judge counts the message for every rule that names it and returns the one that fires.
func (p *Proxy) judge(l *link, head message, size int) (Rule, bool) {
	p.mu.Lock()
	var chosen *active
	for _, a := range p.mu.rules {
		if a.Subject == "conn" || !names(a.Subject, head.typ()) {
			continue
		}
		a.seen++
		if chosen == nil && a.admits(a.seen, a.fired) {
			chosen = a
			a.fired++
			p.mu.fired[a.sentence]++
		}
	}
	p.mu.Unlock()
	if chosen == nil {
		return Rule{}, false
	}
	p.journal.printf("conn %d: %s tag %d size %d: %s", l.id, nameOf[head.typ()], head.tag(), size, chosen.sentence)
	p.traffic.touch()
	return chosen.Rule, true
}

// allowance tells how many of n bytes of o may pass before a conn rule cuts the link.
func (l *link) allowance(o *lane, n int) (allowed int, cut bool) {
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	l.passed += int64(n)
	for _, a := range p.mu.rules {
		if a.Subject != "conn" || a.over[l] {
			continue
		}
		excess := l.passed - a.base[l] - a.N
		if excess < 0 {
			continue
		}
		a.seen++
		a.over[l] = true
		if !a.admits(a.seen, a.fired) {
			continue
		}
		a.fired++
		p.mu.fired[a.sentence]++
		p.journal.printf("conn %d: %s", l.id, a.sentence)
		p.traffic.touch()
		l.only.CompareAndSwap(nil, o)
		return max(n-int(excess), 0), true
	}
	return n, false
}

// Fired is how often the rule with that sentence has fired, also when it is gone. It panics if the
// sentence is none.
func (p *Proxy) Fired(sentence string) int {
	r, err := ParseRule(sentence)
	if err != nil {
		panic(err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.fired[r.String()]
}

// WaitFired waits until Fired(sentence) has reached n.
func (p *Proxy) WaitFired(ctx context.Context, sentence string, n int) error {
	if err := p.traffic.wait(ctx, func() bool { return p.Fired(sentence) >= n }); err != nil {
		return fmt.Errorf("waiting for %q to fire %d times, it did %d: %w", sentence, n, p.Fired(sentence), err)
	}
	return nil
}

// WaitConns waits until exactly n connections are forwarded.
func (p *Proxy) WaitConns(ctx context.Context, n int) error {
	if err := p.traffic.wait(ctx, func() bool { return p.Conns() == n }); err != nil {
		return fmt.Errorf("waiting for %d connections, there are %d: %w", n, p.Conns(), err)
	}
	return nil
}
