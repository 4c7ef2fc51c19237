package faultproxy

import (
	"container/heap"
	"sync"
	"syscall"
	"time"
)

// schedule does things when they are due, one after the other, in the order of their due
// times and, where these are equal, of their coming.
type schedule struct {
	dead <-chan struct{} // closed: what is not done yet never will be

	mu    sync.Mutex // guards everything below
	items items
	seq   uint64
	bytes int // of items and of the one being done
	busy  bool
	wake  chan struct{} // capacity 1: there is an item that may be due earlier
	done  chan struct{} // closed and replaced after each item
}

type item struct {
	due time.Time
	seq uint64
	n   int
	do  func()
}

func newSchedule(dead <-chan struct{}) *schedule {
	return &schedule{dead: dead, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// add queues do, which stands for n bytes.
func (s *schedule) add(due time.Time, n int, do func()) {
	s.mu.Lock()
	s.seq++
	s.bytes += n
	heap.Push(&s.items, item{due: due, seq: s.seq, n: n, do: do})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// idle reports that nothing is queued or being done.
func (s *schedule) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items) == 0 && !s.busy
}

// waitIdle waits for idle; false if the schedule died first.
func (s *schedule) waitIdle() bool {
	return s.waitFor(func() bool { return len(s.items) == 0 && !s.busy })
}

// waitRoom waits until fewer than limit bytes are queued; false if the schedule died first.
func (s *schedule) waitRoom(limit int) bool {
	return s.waitFor(func() bool { return s.bytes < limit })
}

func (s *schedule) waitFor(condLocked func() bool) bool {
	for {
		s.mu.Lock()
		ok, done := condLocked(), s.done
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-done:
		case <-s.dead:
			return false
		}
	}
}

// run does the items until dead is closed.
func (s *schedule) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.dead:
			return
		default:
		}
		wait, ok := s.step()
		if ok {
			continue
		}
		// Go's timers are rounded up to a millisecond when a process is idle, too much of a
		// 10 ms round trip: the last bit is slept in the kernel.
		if 0 < wait && wait <= 2*time.Millisecond {
			ts := syscall.NsecToTimespec(int64(wait))
			syscall.Nanosleep(&ts, nil)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			timer.Reset(wait - 1500*time.Microsecond)
			due = timer.C
		}
		select {
		case <-due:
		case <-s.wake:
		case <-s.dead:
			return
		}
	}
}

// step does the first item if it is due; otherwise it tells in how long one will be (0: there is none).
func (s *schedule) step() (wait time.Duration, did bool) {
	s.mu.Lock()
	if len(s.items) == 0 {
		s.mu.Unlock()
		return 0, false
	}
	if wait := time.Until(s.items[0].due); wait > 0 {
		s.mu.Unlock()
		return wait, false
	}
	it := heap.Pop(&s.items).(item)
	s.busy = true
	s.mu.Unlock()
	it.do()
	s.mu.Lock()
	s.busy = false
	s.bytes -= it.n
	close(s.done)
	s.done = make(chan struct{})
	s.mu.Unlock()
	return 0, true
}

// items is a heap by due time, then by coming.
type items []item

func (h items) Len() int      { return len(h) }
func (h items) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h items) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h *items) Push(x any) { *h = append(*h, x.(item)) }
func (h *items) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = item{}
	*h = (*h)[:last]
	return it
}
