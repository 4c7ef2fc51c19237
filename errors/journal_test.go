package errjournal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func failed(off int64) Entry {
	return Entry{State: Failed, Op: "Twrite", Off: off, Len: 10, Errno: syscall.ENOSPC, Tries: 1}
}

func become(s State) func(*Entry) { return func(e *Entry) { e.State = s } }

func below(t *testing.T, j *Journal, dir string) string {
	t.Helper()
	var b strings.Builder
	if err := j.WriteBelow(&b, dir); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// files lists the paths of the entries below dir, by seq.
func files(j *Journal, dir string) string {
	var names []string
	for _, e := range j.Entries(dir) {
		names = append(names, e.File)
	}
	return strings.Join(names, " ")
}

func TestWhatIsWrittenParsesToEntries(t *testing.T) {
	j := New(Options{})
	a, b := j.Log(1, "/lib/a\n"), j.Log(2, "lib2/b/")
	b.Record(failed(0))
	seq := a.Record(failed(1))
	b.Record(Entry{State: Fault, Op: "Tread", Msg: strings.Repeat("no ", 1000)})
	if !a.Update(seq, func(e *Entry) { e.State, e.Seq, e.File, e.Tries = Resolved, 99, "x", e.Tries+1 }) {
		t.Fatal("entry is gone")
	}
	got, errs := parseAll(strings.NewReader(below(t, j, "")))
	if want := j.Entries("/"); len(errs) > 0 || !slices.Equal(got, want) || len(got) != 3 {
		t.Errorf("errors %v\ngot  %v\nwant %v", errs, got, want)
	}
	if e := got[1]; e.Seq != 2 || e.File != "lib/a\n" || e.State != Resolved || e.Tries != 2 || e.Errno != syscall.ENOSPC {
		t.Errorf("updated entry is %v", e)
	}
	if len(got[2].Msg) > maxMsg {
		t.Errorf("msg of %d bytes", len(got[2].Msg))
	}
	for dir, want := range map[string]string{"": "lib2/b lib/a\n lib2/b", ".": "lib2/b lib/a\n lib2/b", "lib": "lib/a\n", "lib2/b": "lib2/b lib2/b", "li": "", "lib2/b/c": ""} {
		if got := files(j, dir); got != want {
			t.Errorf("below %q: %q, want %q", dir, got, want)
		}
	}
	var text bytes.Buffer
	n, err := b.WriteTo(&text)
	if err != nil || n != int64(text.Len()) || text.String() != below(t, j, "lib2/b") {
		t.Errorf("WriteTo: %d, %v, %q", n, err, text.String())
	}
}

func TestEntryThatCannotBeALineIsSaid(t *testing.T) {
	j := New(Options{})
	l := j.Log(1, "a")
	l.Record(Entry{State: nStates})
	l.Update(1, become(nStates+1))
	l.Record(failed(0))
	text := below(t, j, "")
	if got, errs := parseAll(strings.NewReader(text)); len(got) != 1 || len(errs) > 0 || !strings.HasPrefix(text, "# errjournal: seq 1: unknown state 8\n") {
		t.Errorf("errors %v in\n%s", errs, text)
	}
}

type shortWriter struct{ n int }

func (w *shortWriter) Write(p []byte) (int, error) {
	n := min(w.n, len(p))
	w.n -= n
	return n, nil
}

func TestWriteErrorsComeBack(t *testing.T) {
	j := New(Options{})
	l := j.Log(1, "a")
	for i := range 1000 {
		l.Record(failed(int64(i)))
	}
	for _, n := range []int{0, 10, 70 << 10} {
		if got, err := l.WriteTo(&shortWriter{n}); err != io.ErrShortWrite || got != int64(n) {
			t.Errorf("after %d bytes: %d, %v", n, got, err)
		}
	}
	if err := j.WriteBelow(&shortWriter{}, ""); err != io.ErrShortWrite {
		t.Error(err)
	}
	// No lock is held while writing: a writer may use the journal.
	if err := j.WriteBelow(writerFunc(func(p []byte) (int, error) { l.Record(failed(0)); return len(p), nil }), ""); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTimeIsOfTheLastChange(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6789012, time.FixedZone("", 3600))
	j := New(Options{Now: func() time.Time { return now }})
	l := j.Log(1, "a")
	seq := l.Record(failed(0))
	given := l.Record(Entry{State: Failed, Time: now.Add(-time.Hour)})
	e := j.Entries("")
	if want := time.Date(2026, 1, 2, 2, 4, 5, 6e6, time.UTC); e[seq-1].Time != want || e[given-1].Time != want.Add(-time.Hour) {
		t.Errorf("times %v and %v", e[0].Time, e[1].Time)
	}
	now = now.Add(time.Minute)
	l.Update(seq, become(Resolved))
	if got := j.Entries("")[0].Time; got != millis(now) {
		t.Errorf("after update %v", got)
	}
}

func TestRenameMovesTheLogAndEveryLogBelow(t *testing.T) {
	j := New(Options{})
	for qid, path := range []string{"d", "d/a", "d/s/b", "da", "e/old", "x"} {
		j.Log(uint64(qid), path).Record(failed(0))
	}
	check := func(step, want string) {
		t.Helper()
		if got := files(j, ""); got != want {
			t.Errorf("after %s: %q, want %q", step, got, want)
		}
	}
	j.Rename("d", "e/d")
	check("d to e/d", "e/d e/d/a e/d/s/b da e/old x")
	j.Rename("/da", "e/old")
	check("da over e/old", "e/d e/d/a e/d/s/b e/old e/old x")
	j.Rename("e/old", "new")
	check("the replaced file keeps its last name", "e/d e/d/a e/d/s/b new e/old x")
	j.Removed("x")
	j.Rename("x", "y")
	check("a removed name", "e/d e/d/a e/d/s/b new e/old x")
	j.Log(5, "x2")
	j.Rename("x2", "y")
	check("found again", "e/d e/d/a e/d/s/b new e/old y")
	j.Rename("e", "e/deeper")
	j.Rename("", "nowhere")
	j.Rename("y", "y")
	check("below itself", "e/deeper/d e/deeper/d/a e/deeper/d/s/b new e/old y")
	j.Removed("e")
	j.Rename("e/deeper", "f")
	check("a removed directory", "e/deeper/d e/deeper/d/a e/deeper/d/s/b new e/old y")
}

func TestLogIsFoundAgainByQid(t *testing.T) {
	j := New(Options{})
	l := j.Log(1, "a")
	l.Record(failed(0))
	l.Close()
	again := j.Log(1, "b")
	if again != l || again.Path() != "b" || files(j, "") != "b" {
		t.Errorf("found %v at %q", again != l, again.Path())
	}
	if got := again.Counts(); got != (Counts{Failed: 1}) || got.Open() != 1 {
		t.Errorf("counts %+v", got)
	}
	j.Replaced(1)
	j.Replaced(2)
	fresh := j.Log(1, "b")
	if fresh == l || fresh.Counts().Open() != 0 || files(j, "b") != "b" {
		t.Error("a replaced file's log is not kept apart")
	}
	l.Record(failed(1))
	if len(j.Entries("b")) != 2 || j.Log(1, "b") != fresh {
		t.Error("a replaced file's record went astray")
	}
}

func TestCountsFollowUpdates(t *testing.T) {
	j := New(Options{})
	l := j.Log(1, "a")
	var seqs []uint64
	for _, s := range []State{Pending, Pending, Failed, Conflict, Dropped, Fault} {
		seqs = append(seqs, l.Record(Entry{State: s}))
	}
	if got := l.Counts(); got != (Counts{2, 1, 1}) {
		t.Errorf("counts %+v", got)
	}
	l.Update(seqs[0], become(Failed))
	l.Update(seqs[1], become(Superseded))
	l.Update(seqs[3], become(Resolved))
	l.Update(seqs[5], become(Pending))
	if got := l.Counts(); got != (Counts{1, 2, 0}) {
		t.Errorf("counts %+v", got)
	}
	if l.Update(99, become(Failed)) || l.Update(0, become(Failed)) || j.Log(2, "b").Update(seqs[0], become(Resolved)) {
		t.Error("an entry that is not this file's was updated")
	}
}

func TestPrunedWhenNothingWouldBeLost(t *testing.T) {
	j := New(Options{PerFile: 1})
	logs := func() int { return len(j.mu.logs)*100 + len(j.mu.byQid) }
	a := j.Log(1, "a")
	j.Log(1, "a").Close()
	if logs() != 101 {
		t.Error("pruned while referenced")
	}
	a.Close()
	a.Close()
	if logs() != 0 {
		t.Error("empty log stays")
	}
	b := j.Log(2, "b")
	b.Record(Entry{State: Dropped})
	b.Record(failed(0)) // evicts the dropped entry
	b.Close()
	if logs() != 101 || j.Evicted("b") != (Evicted{Total: 1, Losses: 1}) {
		t.Errorf("log with an entry: %d, %+v", logs(), j.Evicted(""))
	}
	b.Update(2, become(Resolved))
	c := j.Log(3, "c")
	c.Record(Entry{State: Dropped})
	for _, r := range j.mu.records {
		j.evictLocked(r)
	}
	c.Close()
	if logs() != 202 {
		t.Error("log with an unseen loss was pruned")
	}
	// Recorded late, through a reference given back: nothing goes astray.
	a.Record(failed(0))
	if logs() != 303 || files(j, "") != "a" {
		t.Error("late record is lost")
	}
	j.Replaced(3)
	if logs() != 202 {
		t.Error("unseen loss of a replaced file is kept")
	}
}

func TestLateUseOfAPrunedLogReachesItsSuccessor(t *testing.T) {
	j := New(Options{})
	old := j.Log(1, "a")
	old.Close()
	now := j.Log(1, "b")
	c := now.Cursor()
	old.Update(old.Record(failed(0)), become(Dropped))
	if err := c.Check(); err != syscall.ENOSPC || files(j, "") != "b" {
		t.Errorf("told %v, files %q", err, files(j, ""))
	}
}

func TestIdenticalFaultsInARowAreOneEntry(t *testing.T) {
	j := New(Options{})
	l, other := j.Log(1, "a"), j.Log(2, "b")
	fault := Entry{State: Fault, Op: "Tread", Off: 4096, Len: 4096, Errno: syscall.EIO}
	first := l.Record(fault)
	other.Record(fault)
	fault.Msg = "newest"
	for range 1000 {
		if l.Record(fault) != first {
			t.Fatal("a new entry for the same fault")
		}
	}
	if e := j.Entries("a"); len(e) != 1 || e[0].Tries != 1001 || e[0].Msg != "newest" {
		t.Errorf("got %v", e)
	}
	for name, change := range map[string]func(*Entry){
		"op": func(e *Entry) { e.Op = "Tsetattr" }, "off": func(e *Entry) { e.Off++ }, "len": func(e *Entry) { e.Len++ },
		"errno": func(e *Entry) { e.Errno++ }, "state": become(Failed),
	} {
		l.Record(fault)
		n := len(j.Entries("a"))
		differs := fault
		change(&differs)
		l.Record(differs)
		l.Record(fault)
		if got := len(j.Entries("a")); got != n+2 {
			t.Errorf("another %s: %d entries, want %d", name, got, n+2)
		}
	}
	l.Update(l.Record(fault), become(Resolved))
	n := len(j.Entries("a"))
	l.Record(fault)
	if len(j.Entries("a")) != n+1 {
		t.Error("a settled fault was reopened")
	}
}

func TestFollowerSeesEveryChangeOrHowManyItMissed(t *testing.T) {
	j := New(Options{Events: 4})
	l := j.Log(1, "a")
	changed := j.Changed()
	if changed != j.Changed() {
		t.Error("an allocation per caller")
	}
	at := j.Serial()
	seq := l.Record(failed(0))
	select {
	case <-changed:
	default:
		t.Fatal("not told of a record")
	}
	changed = j.Changed()
	j.Rename("a", "b")
	l.Update(seq, become(Resolved))
	select {
	case <-changed:
	default:
		t.Fatal("not told of an update")
	}
	got, next, missed := j.Since(at)
	if len(got) != 2 || got[0].State != Failed || got[0].File != "a" || got[1].State != Resolved || got[1].File != "b" || got[1].Seq != seq || next != 2 || missed != 0 {
		t.Errorf("got %v, %d, %d", got, next, missed)
	}
	for i := range 9 {
		l.Record(failed(int64(i)))
	}
	got, next, missed = j.Since(next)
	if len(got) != 4 || got[0].Off != 5 || got[3].Off != 8 || next != 11 || missed != 5 {
		t.Errorf("got %v, %d, %d", got, next, missed)
	}
	if got, next, missed = j.Since(100); len(got) != 0 || next != 11 || missed != 0 {
		t.Errorf("ahead of time: %v, %d, %d", got, next, missed)
	}
}

// Under -race: workers record and update, handles check, a follower follows,
// people read and rename, and nothing is told twice or lost.
func TestManyAtOnce(t *testing.T) {
	const workers, rounds = 4, 500
	j := New(Options{PerFile: 64, PerMount: 200, Events: 64})
	held := make([]*Log, workers)
	for w := range held {
		held[w] = j.Log(uint64(w%2), fmt.Sprintf("d/%d", w%2))
	}
	var all, others sync.WaitGroup
	stop := make(chan struct{})
	told := make([]int, workers)
	var followed uint64
	at := j.Serial() // before anybody changes anything
	for w, l := range held {
		c := l.Cursor()
		all.Go(func() {
			for i := range rounds {
				l := j.Log(uint64(w%2), l.Path())
				l.Update(l.Record(failed(int64(i))), become(Dropped))
				if err := c.Check(); err != nil {
					told[w]++
				}
				l.Counts()
				l.Close()
			}
		})
	}
	others.Go(func() {
		for {
			changed := j.Changed()
			entries, next, missed := j.Since(at)
			followed += missed + uint64(len(entries))
			at = next
			select {
			case <-changed:
				continue
			default:
			}
			select {
			case <-changed:
			case <-stop:
				if at == j.Serial() {
					return
				}
			}
		}
	})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			j.Rename([]string{"d", "e"}[i%2], []string{"e", "d"}[i%2])
			if err := j.WriteBelow(io.Discard, "d"); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	close(stop)
	others.Wait()
	if want := uint64(2 * workers * rounds); followed != want || j.Serial() != want {
		t.Errorf("followed %d of %d changes, %d made", followed, want, j.Serial())
	}
	for w, n := range told {
		if n == 0 || n > 2*rounds {
			t.Errorf("handle %d told %d times", w, n)
		}
	}
	if got := uint64(len(j.Entries(""))) + j.Evicted("").Total; got != workers*rounds {
		t.Errorf("%d entries accounted for, want %d", got, workers*rounds)
	}
}

func TestErrnoIsWhatCallersCompareWith(t *testing.T) {
	l := New(Options{}).Log(1, "a")
	c := l.Cursor()
	l.Record(Entry{State: Dropped, Errno: syscall.EDQUOT})
	if err := c.Check(); !errors.Is(err, syscall.EDQUOT) {
		t.Error(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := New(Options{}).Log(1, "a")
	e := failed(0)
	e.Time = time.Now()
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
}
