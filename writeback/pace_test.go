package writeback

import (
	"testing"
	"time"
)

func TestPaceIsMeasuredWhileRwritesFollowEachOther(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		n     int64
		count int
		pause time.Duration // before each tenth
		least float64       // bytes per second
		most  float64
	}{
		{"steady", 10 * time.Millisecond, 1 << 20, 100, 0, 99 << 20, 101 << 20},
		{"pauses are none of the link's", 10 * time.Millisecond, 1 << 20, 200, time.Minute, 0, 101 << 20},
		{"too slow to matter", time.Second, 1 << 20, 100, 0, 0, 0},
		{"nothing", 0, 0, 0, 0, 0, 0},
	} {
		var p pace
		now := time.Unix(1e9, 0)
		for i := range c.count {
			now = now.Add(c.every)
			if i%10 == 0 {
				now = now.Add(c.pause)
			}
			p.acknowledged(now, c.n)
		}
		if p.rate < c.least || p.rate > c.most {
			t.Errorf("%s: %.0f bytes/s, want %.0f to %.0f", c.name, p.rate, c.least, c.most)
		}
	}
}

func TestBoundIsTwiceWhatArrivesDuringATfsync(t *testing.T) {
	o := Options{}.withDefaults()
	for _, c := range []struct {
		rate float64
		sync time.Duration
		want int64
	}{
		{0, 0, 64 << 20},
		{100 << 20, 100 * time.Millisecond, 64 << 20}, // 20 MiB: the constant
		{1 << 30, 50 * time.Millisecond, 102 << 20},
		{1 << 30, time.Minute, 256 << 20}, // memory ends somewhere
		{1e300, 1 << 62, 256 << 20},
	} {
		p := pace{rate: c.rate, sync: c.sync}
		if got := p.bound(o); got>>20 != c.want>>20 {
			t.Errorf("%.0f bytes/s, %v: %d MiB, want %d", c.rate, c.sync, got>>20, c.want>>20)
		}
	}
}

// A server whose Tfsync takes the longer the more there is to sync must not make
// the bound grow without end.
func TestBoundEndsThoughTfsyncGrowsWithIt(t *testing.T) {
	o := Options{}.withDefaults()
	p := pace{rate: 1 << 30}
	for range 100 {
		p.synced(time.Duration(float64(p.bound(o)) / (100 << 20) * float64(time.Second))) // a disk of 100 MiB/s
	}
	if got := p.bound(o); got > o.UnstableMost/2 {
		t.Errorf("%d MiB", got>>20)
	}
}

func TestChooseSyncs(t *testing.T) {
	now := time.Unix(1e9, 0)
	a, b, c, d := new(File), new(File), new(File), new(File)
	names := map[*File]string{a: "a", b: "b", c: "c", d: "d"}
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for _, x := range []struct {
		name string
		l    []unsynced
		over int64
		free int
		want string
	}{
		{"none is due", []unsynced{{a, true, in(1), 10}, {b, false, in(2), 20}}, 0, 4, ""},
		{"what is due, the oldest first", []unsynced{{a, false, in(-1), 10}, {b, false, in(1), 20}, {c, false, in(0), 5}, {d, false, in(-2), 5}}, 0, 4, "dac"},
		{"the released before the older", []unsynced{{a, false, in(-9), 10}, {b, true, in(-1), 20}}, 0, 4, "ba"},
		{"not more than are free", []unsynced{{a, false, in(-9), 10}, {b, true, in(-1), 20}}, 0, 1, "b"},
		{"none are free", []unsynced{{a, false, in(-9), 10}}, 0, 0, ""},
		{"too much: until it is enough", []unsynced{{a, false, in(1), 10}, {b, false, in(1), 30}, {c, false, in(1), 20}}, 40, 4, "bc"},
		{"too much: the released first", []unsynced{{a, false, in(1), 90}, {b, true, in(1), 30}, {c, true, in(1), 31}}, 60, 4, "cb"},
		{"too much, and something due", []unsynced{{a, false, in(1), 90}, {b, false, in(0), 30}}, 31, 4, "ba"},
	} {
		got := ""
		for _, u := range chooseSyncs(x.l, now, x.over, x.free) {
			got += names[u.f]
		}
		if got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}
