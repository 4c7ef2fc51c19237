package fusefs

import "testing"

// Who waits for a notice has waited for those that were asked for before.
func TestNoticesAreToldInTheirOrder(t *testing.T) {
	q := notices{kicked: make(chan struct{}, 1)}
	for off := range int64(3) {
		q.add(notice{off: off})
	}
	<-q.kicked
	for off := range int64(3) {
		if n, ok := q.take(); !ok || n.off != off {
			t.Errorf("notice %d, %v; want %d", n.off, ok, off)
		}
	}
	if n, ok := q.take(); ok {
		t.Errorf("and then %v", n)
	}
}
