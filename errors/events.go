package errjournal

// Changed returns a channel that is closed at the next record or update. Ask for
// it before Since, so that nothing falls between the two; a Follower does.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changedLocked()
}

func (j *Journal) changedLocked() <-chan struct{} {
	if j.mu.changed == nil {
		j.mu.changed = make(chan struct{})
	}
	return j.mu.changed
}

// Serial returns the number of changes so far: the place of a follower that
// starts now.
func (j *Journal) Serial() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.serial
}

// Since returns the entries as they were issued after the change serial,
// oldest first, File being the name at that time; next, the serial to ask with
// the next time; and missed, how many changes after serial are remembered no
// more (Options.Events), which were before the first of entries.
func (j *Journal) Since(serial uint64) (entries []Entry, next, missed uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sinceLocked(serial)
}

func (j *Journal) sinceLocked(serial uint64) (entries []Entry, next, missed uint64) {
	next = j.mu.serial
	if serial >= next {
		return nil, next, 0
	}
	if behind := next - serial; behind > uint64(len(j.mu.ring)) {
		missed = behind - uint64(len(j.mu.ring))
		serial += missed
	}
	entries = make([]Entry, 0, next-serial)
	for ; serial < next; serial++ {
		entries = append(entries, j.mu.ring[serial%uint64(j.events)])
	}
	return entries, next, missed
}

func (j *Journal) announceLocked(e Entry) {
	if len(j.mu.ring) < j.events {
		j.mu.ring = append(j.mu.ring, e)
	} else {
		j.mu.ring[j.mu.serial%uint64(j.events)] = e
	}
	j.mu.serial++
	if j.mu.changed != nil {
		close(j.mu.changed)
		j.mu.changed = nil
	}
}
