package pagecache

// admit counts the memory of a page of n bytes that is about to be filled, and
// its fill. It refuses optional ones when there is no room, and everything after
// Close.
func (c *Cache) admit(n int64, optional bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mu.closed:
		return false
	case optional && (c.mu.optional >= c.o.Parallel || !c.roomLocked(blockSize(n))):
		return false
	}
	if optional {
		c.mu.optional++
		c.mu.stats.AheadBytes += n
	} else {
		c.mu.stats.FillBytes += n
	}
	c.mu.bytes += blockSize(n)
	c.fills.Add(1)
	return true
}

// roomLocked reports whether n bytes more fit without evicting what nobody has
// read.
func (c *Cache) roomLocked(n int64) bool {
	return c.mu.bytes+n-c.mu.takenBytes <= c.o.Budget
}

// drop lets go of the blocks of pages that are gone. Readers may hold them for
// a little longer; if that counted, eviction would go on until nothing is left.
func (c *Cache) drop(l ...*block) {
	c.mu.Lock()
	for _, b := range l {
		if b.pages--; b.pages == 0 {
			c.mu.bytes -= int64(len(b.buf))
		}
	}
	c.mu.Unlock()
	for _, b := range l {
		b.release()
	}
}

// enlist puts a page that became resident into the order of eviction; a part of
// the page whole, if that is not nil, to where that was.
func (c *Cache) enlist(p *page, whole *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.in = c.mu.fresh
	if whole != nil {
		p.blk.pages++
		p.in = whole.in
		p.delivered = min(whole.delivered, int64(len(p.data)))
	}
	p.place = p.in.PushBack(p)
	if p.in == c.mu.taken {
		c.mu.takenBytes += int64(len(p.data))
	}
}

// unlist takes a page out of the order of eviction.
func (c *Cache) unlist(p *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlistLocked(p)
}

func (c *Cache) unlistLocked(p *page) {
	if p.place == nil {
		return
	}
	p.in.Remove(p.place)
	if p.in == c.mu.taken {
		c.mu.takenBytes -= int64(len(p.data))
	}
	p.place = nil
}

// delivered notes that n bytes of p were copied out. A page that was delivered
// whole goes to those which are evicted first.
func (c *Cache) delivered(p *page, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.delivered += n
	if p.place == nil {
		return
	}
	if p.in == c.mu.taken {
		c.mu.taken.MoveToBack(p.place)
		return
	}
	if p.delivered >= int64(len(p.data)) {
		c.unlistLocked(p)
		p.in = c.mu.taken
		p.place = c.mu.taken.PushBack(p)
		c.mu.takenBytes += int64(len(p.data))
	}
}

// evict drops pages until the rest is inside the budget. No lock may be held.
func (c *Cache) evict() {
	for {
		p := c.victim()
		if p == nil {
			return
		}
		p.f.mu.Lock()
		gone := p.detached // meanwhile; its memory is somebody else's to drop
		if !gone {
			p.detached = true
			p.f.pages.Delete(p.off)
		}
		p.f.mu.Unlock()
		if !gone {
			c.drop(p.blk)
		}
	}
}

func (c *Cache) victim() *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.bytes <= c.o.Budget {
		return nil
	}
	e := c.mu.taken.Front()
	if e == nil {
		e = c.mu.fresh.Front()
	}
	if e == nil {
		return nil
	}
	p := e.Value.(*page)
	c.mu.stats.Evicted += int64(len(p.data))
	if p.in == c.mu.fresh && p.delivered == 0 {
		c.mu.stats.EvictedUnread += int64(len(p.data))
	}
	c.unlistLocked(p)
	return p
}

func (c *Cache) optionalDone() {
	c.mu.Lock()
	c.mu.optional--
	c.mu.Unlock()
}
