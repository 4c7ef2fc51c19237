package rescue

import (
	"testing"
	"time"
)

func TestJudgeRefusesWhatSomebodyElseChanged(t *testing.T) {
	at := func(size int64, sec int) Attr {
		d := time.Duration(sec) * time.Second
		return Attr{Set: true, Size: size, Mtime: when.Add(d), Ctime: when.Add(d)}
	}
	versioned := func(a Attr, v uint32) Attr { a.Version = v; return a }
	known := at(1000, 0)
	for _, c := range []struct {
		name  string
		e     Entry
		live  bool
		path  uint64
		typ   uint8
		found Attr
		want  Verdict
	}{
		{name: "unchanged", e: Entry{Meta: Meta{Known: known}}, found: known, want: Unchanged},
		{name: "unchanged, append-only by now", e: Entry{Meta: Meta{Known: known}}, typ: 0x40, found: known, want: Unchanged},
		{name: "another qid.path", e: Entry{Meta: Meta{Known: known}}, path: 1, found: known, want: Replaced},
		{name: "a directory", e: Entry{Meta: Meta{Known: known}}, typ: 0x80, found: known, want: Replaced},
		{name: "qid.path used again for an older file", e: Entry{Meta: Meta{Known: known, Sent: true}}, found: at(1000, -9), want: Replaced},
		{name: "stranger's write of the same size", e: Entry{Meta: Meta{Known: known}}, found: at(1000, 5), want: Changed},
		{name: "stranger's append", e: Entry{Meta: Meta{Known: known}}, found: at(1001, 5), want: Changed},
		{name: "stranger's write, by its version", e: Entry{Meta: Meta{Known: versioned(known, 3)}}, found: versioned(known, 4), want: Changed},
		{name: "the same version at another time", e: Entry{Meta: Meta{Known: versioned(known, 3)}}, found: versioned(at(1000, 5), 3), want: Unchanged},
		{name: "never looked at", e: Entry{Meta: Meta{Sent: true}}, found: known, want: Changed},
		{name: "our write, within the old size", e: Entry{Meta: Meta{Known: known, Sent: true}, Extents: []Place{{Off: 10, Len: 10}}}, found: at(1000, 5), want: Ours},
		{name: "our append, half of it", e: Entry{Meta: Meta{Known: known, Sent: true}, Extents: []Place{{Off: 1000, Len: 100}}}, found: at(1050, 5), want: Ours},
		{name: "our append, durable by now", e: Entry{Meta: Meta{Known: known, Sent: true, Grown: 2000}}, found: at(2000, 5), want: Ours},
		{name: "longer than we made it", e: Entry{Meta: Meta{Known: known, Sent: true}, Extents: []Place{{Off: 1000, Len: 100}}}, found: at(1101, 5), want: Changed},
		{name: "shorter than we made it", e: Entry{Meta: Meta{Known: known, Sent: true}, Extents: []Place{{Off: 1000, Len: 100}}}, found: at(999, 5), want: Changed},
		{name: "our truncation", e: Entry{Meta: Meta{Known: known, Sent: true}, Truncations: []int64{10, 500}}, found: at(10, 5), want: Ours},
		{name: "our extension", e: Entry{Meta: Meta{Known: known, Sent: true}, Truncations: []int64{5000}}, found: at(5000, 5), want: Ours},
		{name: "killed while programs could store", e: Entry{Meta: Meta{Known: known, Sent: true}}, live: true, found: at(1000, 5), want: Changed},
		{name: "the same, unchanged", e: Entry{Meta: Meta{Known: known, Sent: true}}, live: true, found: known, want: Unchanged},
		{name: "an earlier run had begun", e: Entry{Meta: Meta{Known: known}, Sending: &Attr{Set: true, Size: 1000, Mtime: when, Ctime: when}}, live: true, found: at(1000, 5), want: Ours},
		{name: "and somebody else cut it", e: Entry{Meta: Meta{Known: known}, Sending: &Attr{Set: true, Size: 1000, Mtime: when, Ctime: when}}, found: at(0, 5), want: Changed},
	} {
		v, why := c.e.Judge(c.live, Found{QidPath: c.path, QidType: c.typ, Attr: c.found})
		if v != c.want || (v >= Changed) != (why != "") {
			t.Errorf("%s: verdict %d (%s), want %d", c.name, v, why, c.want)
		}
	}
}
