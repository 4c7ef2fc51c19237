package pagecache

// admit counts a page that is about to be filled, and its fill. It refuses
// optional ones when there is no room, and everything after Close.
func (c *Cache) admit(n int64, optional bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mu.closed:
		return false
	case optional && (c.mu.optional >= c.o.Parallel || !c.roomLocked(n)):
		return false
	}
	if optional {
		c.mu.optional++
		c.mu.stats.AheadBytes += n
	} else {
		c.mu.stats.FillBytes += n
	}
	c.fills.Add(1)
	return true
}

// roomLocked reports whether n bytes fit without evicting what nobody has read.
func (c *Cache) roomLocked(n int64) bool {
	return c.mu.bytes+n <= c.o.Budget || c.mu.takenBytes >= n
}

func (c *Cache) use(b *block) {
	c.mu.Lock()
	c.mu.bytes += int64(len(b.buf))
	c.mu.Unlock()
}

// drop lets go of blocks.
func (c *Cache) drop(l ...*block) {
	var freed int64
	for _, b := range l {
		freed += b.release()
	}
	if freed > 0 {
		c.mu.Lock()
		c.mu.bytes -= freed
		c.mu.Unlock()
	}
}

// enlist puts a page that became resident into the order of eviction, as its
// neighbour like if that is not nil.
func (c *Cache) enlist(p *page, like *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.in = c.mu.fresh
	if like != nil && like.in != nil {
		p.in = like.in
		p.delivered = min(like.delivered, int64(len(p.data)))
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
		held := !p.detached
		if held {
			p.detached = true
			p.f.pages.Delete(p.off)
		}
		p.f.mu.Unlock()
		if held {
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
