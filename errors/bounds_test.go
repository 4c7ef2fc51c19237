package errjournal

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func seqs(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprint(&b, e.Seq, e.State.String()[:1], " ")
	}
	return strings.TrimSpace(b.String())
}

func TestSettledEntriesGoFirstThenLossesThenOpenOnes(t *testing.T) {
	j := New(Options{PerFile: 3})
	l := j.Log(1, "a")
	l.Record(failed(1))
	l.Record(failed(2))
	l.Record(Entry{State: Dropped})
	l.Update(2, become(Resolved)) // settled after 3
	for i, want := range []string{"1f 3d 4f", "1f 4f 5f", "4f 5f 6f"} {
		l.Record(failed(int64(i)))
		if got := seqs(j.Entries("")); got != want {
			t.Errorf("step %d: %s, want %s", i, got, want)
		}
	}
	// The newest is settled and nothing else is: it goes itself.
	if seq := l.Record(Entry{State: Fault}); seq != 7 || seqs(j.Entries("")) != "4f 5f 6f" {
		t.Errorf("seq %d, kept %s", seq, seqs(j.Entries("")))
	}
	if l.Update(1, become(Resolved)) {
		t.Error("an evicted entry was updated")
	}
	if got := j.Evicted(""); got != (Evicted{Total: 4, Open: 1, Losses: 1}) {
		t.Errorf("evicted %+v", got)
	}
	want := "# 4 older entries dropped, 1 of them while open, 1 of them losses: the journal remembers 3 a file and 16384 in all\nseq=4 "
	if got := below(t, j, "a"); !strings.HasPrefix(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestOneFileCannotPushOutOthersOpenEntries(t *testing.T) {
	j := New(Options{PerFile: 10, PerMount: 4})
	a, b := j.Log(1, "a"), j.Log(2, "b")
	a.Record(failed(0))
	for i := range 50 {
		b.Record(Entry{State: Fault, Off: int64(i)})
	}
	if got := seqs(j.Entries("")); got != "1f 49f 50f 51f" {
		t.Errorf("kept %s", got)
	}
	if got := below(t, j, "a"); strings.Contains(got, "#") {
		t.Errorf("dropped lines in the wrong scope: %s", got)
	}
	if got := below(t, j, "b"); !strings.HasPrefix(got, "# 47 older entries dropped: ") {
		t.Errorf("got %s", got)
	}
}

func TestFaultThatGoesOnIsNotTheFirstToGo(t *testing.T) {
	j := New(Options{PerFile: 10, PerMount: 2})
	a, b := j.Log(1, "a"), j.Log(2, "b")
	a.Record(Entry{State: Fault})
	b.Record(Entry{State: Fault})
	a.Record(Entry{State: Fault})
	b.Record(Entry{State: Resolved})
	if got := seqs(j.Entries("")); got != "1f 3r" {
		t.Errorf("kept %s", got)
	}
}

func TestCountsOfPrunedFilesStayInTheirScope(t *testing.T) {
	j := New(Options{PerMount: 1})
	use := func(qid uint64, path string) {
		l := j.Log(qid, path)
		l.Record(Entry{State: Fault})
		l.Close()
	}
	use(1, "d/a")
	use(2, "d/b")
	use(3, "e/c")
	use(4, "f")
	if len(j.mu.logs) != 1 || len(j.mu.cut) != 3 {
		t.Fatalf("%d logs, tally %v", len(j.mu.logs), j.mu.cut)
	}
	check := func(dir string, total, perhaps uint64) {
		t.Helper()
		if got := j.Evicted(dir); got != (Evicted{Total: total, Perhaps: perhaps}) {
			t.Errorf("%q: %+v, want %d and perhaps %d", dir, got, total, perhaps)
		}
	}
	check("", 3, 0)
	check("d", 2, 0)
	check("d/a", 1, 0)
	check("f", 0, 0)
	j.Rename("d", "g")
	check("d", 0, 0)
	check("g", 2, 0)
	l := j.Log(1, "g/a") // found again: takes its count back
	if l.cut.Total != 1 || len(j.mu.cut) != 2 {
		t.Errorf("%+v, tally %v", l.cut, j.mu.cut)
	}
	check("g", 2, 0)
	l.Close()
	check("g/a", 1, 0)
	// Too many paths: counted for the directory.
	for i := range maxTally + 10 {
		use(uint64(100+i), fmt.Sprintf("h/k/%d", i))
	}
	if len(j.mu.cut) > maxTally {
		t.Errorf("%d paths", len(j.mu.cut))
	}
	check("h/k", maxTally+9, 0)
	check("g", 2, 0)
	// Four paths were there and f's came first: the 1020th of these folded 1020.
	check("h/k/3", 0, maxTally-3)
	if got := below(t, j, "h/k/3"); got != fmt.Sprintf("# up to %d more older entries dropped: they were counted only for a directory above\n", maxTally-3) {
		t.Errorf("got %q", got)
	}
	check("", maxTally+9+4, 0)
}

// Whatever happens, an entry is remembered or counted, the bounds hold, the
// queues agree with the map, and no directory counts more than its parent.
func TestNothingIsForgottenUncounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perFile, perMount := rapid.IntRange(1, 4).Draw(t, "per file"), rapid.IntRange(1, 6).Draw(t, "per mount")
		j := New(Options{PerFile: perFile, PerMount: perMount, Events: 3})
		dirs := []string{"", "d", "d/e", "d/f", "g"}
		dir := rapid.SampledFrom(dirs[1:])
		held := map[uint64][]*Log{}
		var made uint64
		qid := rapid.Uint64Range(0, 5)
		t.Repeat(map[string]func(*rapid.T){
			"log": func(t *rapid.T) {
				q := qid.Draw(t, "qid")
				held[q] = append(held[q], j.Log(q, fmt.Sprint(dir.Draw(t, "dir"), "/", q)))
			},
			"record": func(t *rapid.T) {
				q := qid.Draw(t, "qid")
				l := j.Log(q, fmt.Sprint("d/", q))
				made = max(made, l.Record(Entry{State: State(rapid.IntRange(0, int(nStates)-1).Draw(t, "state"))}))
				l.Close()
			},
			"update": func(t *rapid.T) {
				q := qid.Draw(t, "qid")
				l := j.Log(q, fmt.Sprint("g/", q))
				l.Update(rapid.Uint64Range(0, made+1).Draw(t, "seq"), become(State(rapid.IntRange(0, int(nStates)-1).Draw(t, "state"))))
				l.Close()
			},
			"close": func(t *rapid.T) {
				q := qid.Draw(t, "qid")
				if n := len(held[q]); n > 0 {
					held[q][n-1].Close()
					held[q] = held[q][:n-1]
				}
			},
			"rename":   func(t *rapid.T) { j.Rename(dir.Draw(t, "old"), dir.Draw(t, "new")) },
			"remove":   func(t *rapid.T) { j.Removed(dir.Draw(t, "path")) },
			"replaced": func(t *rapid.T) { j.Replaced(qid.Draw(t, "qid")) },
			"fold":     func(*rapid.T) { j.mu.cut.fold() },
			"": func(t *rapid.T) {
				n := len(j.mu.records)
				if got := uint64(n) + j.Evicted("").Total; got != made {
					t.Fatalf("%d entries accounted for, %d made", got, made)
				}
				if n > perMount || j.mu.order.len() != n {
					t.Fatalf("%d entries, %d queued, bound %d", n, j.mu.order.len(), perMount)
				}
				for l := range j.mu.logs {
					var counts [nStates]int
					of := 0
					for r := range l.order.all() {
						counts[r.State]++
						of++
						if j.mu.records[r.Seq] != r || r.log != l {
							t.Fatal("a queued record is not in the map")
						}
					}
					if n -= of; of != l.order.len() || of > perFile || counts != l.counts {
						t.Fatalf("%d entries, queue says %d, bound %d, counts %v, want %v", of, l.order.len(), perFile, l.counts, counts)
					}
					if l.refs == 0 && of == 0 && (l.losses == l.told || l.replaced) {
						t.Fatalf("log of %q is not pruned", l.path)
					}
				}
				if n != 0 {
					t.Fatalf("%d records belong to no log", n)
				}
				for _, d := range dirs[2:4] {
					if c, p := j.Evicted(d), j.Evicted("d"); c.Total > p.Total || c.Open+c.Losses > c.Total {
						t.Fatalf("%s: %+v of %+v", d, c, p)
					}
				}
			},
		})
	})
}

func TestFoldedCountSpeaksForAllBelow(t *testing.T) {
	c := make(tally)
	c.add("d/a", 1, Evicted{Total: 2, Open: 1})
	c.fold()
	if got := c.sum("d"); got != (Evicted{Total: 2, Open: 1}) {
		t.Errorf("d: %+v", got)
	}
	if got := c.sum("d/b"); got != (Evicted{Perhaps: 2}) {
		t.Errorf("d/b: %+v", got)
	}
	if got := c.takeBack("d", 1); got != (Evicted{}) {
		t.Errorf("one file took %+v", got)
	}
	c.fold()
	c.fold() // the root is the end
	if got := c.sum(""); got != (Evicted{Total: 2, Open: 1}) || len(c) != 1 {
		t.Errorf("root: %+v of %v", got, c)
	}
}
