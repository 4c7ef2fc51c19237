package faultproxy

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestScheduleKeepsTheOrderOfDueTimesThenOfComing(t *testing.T) {
	dead := make(chan struct{})
	s := newSchedule(dead)
	var got []int
	soon := time.Now().Add(5 * time.Millisecond)
	for i := range 20 {
		due := soon
		if i == 10 {
			due = soon.Add(-time.Millisecond)
		}
		s.add(due, 1, func() { got = append(got, i) })
	}
	var wg sync.WaitGroup
	wg.Go(s.run)
	if !s.waitIdle() {
		t.Error("died")
	}
	close(dead)
	wg.Wait()
	if got[0] != 10 || !slices.IsSorted(got[1:]) || len(got) != 20 {
		t.Errorf("order %v", got)
	}
	if s.waitRoom(0) {
		t.Error("a dead schedule has room")
	}
}
