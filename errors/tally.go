package errjournal

import (
	"fmt"
	"strings"
)

// Evicted says how many entries the bounds have cut.
type Evicted struct {
	Total   uint64 // entries at or below the path asked about
	Open    uint64 // of those, the ones that were open when they went
	Losses  uint64 // and the ones that told of a loss
	Perhaps uint64 // further entries, counted only for a directory above it
}

func (c *Evicted) plus(d Evicted) {
	c.Total += d.Total
	c.Open += d.Open
	c.Losses += d.Losses
	c.Perhaps += d.Perhaps
}

// appendComment appends the comment lines that tell c, none when it is zero.
func (c Evicted) appendComment(b []byte, j *Journal) []byte {
	if c.Total > 0 {
		b = fmt.Appendf(b, "# %d older entries dropped", c.Total)
		if c.Open > 0 {
			b = fmt.Appendf(b, ", %d of them while open", c.Open)
		}
		if c.Losses > 0 {
			b = fmt.Appendf(b, ", %d of them losses", c.Losses)
		}
		b = fmt.Appendf(b, ": the journal remembers %d a file and %d in all\n", j.perFile, j.perMount)
	}
	if c.Perhaps > 0 {
		b = fmt.Appendf(b, "# up to %d more older entries dropped: they were counted only for a directory above\n", c.Perhaps)
	}
	return b
}

// A tally counts the entries forgotten of files whose Log is pruned, by path.
// It is bounded by counting the deepest paths for their directories instead.
type tally map[string]tallied

type tallied struct {
	Evicted
	qid    uint64
	single bool // one file's, that of qid; else of any number at or below the path
}

const maxTally = 1024

func (t tally) add(path string, qid uint64, c Evicted) {
	if c == (Evicted{}) {
		return
	}
	t.merge(path, tallied{c, qid, true})
	if len(t) <= maxTally {
		return
	}
	for len(t) > maxTally/2 {
		t.fold()
	}
}

func (t tally) merge(path string, c tallied) {
	if have, ok := t[path]; ok {
		c.plus(have.Evicted)
		c.single = c.single && have.single && c.qid == have.qid
	}
	t[path] = c
}

// fold counts the deepest paths for their directories.
func (t tally) fold() {
	deepest := 0
	for path := range t {
		deepest = max(deepest, depth(path))
	}
	for path, c := range t {
		if path == "" || depth(path) < deepest {
			continue
		}
		delete(t, path)
		c.single = false
		t.merge(path[:max(strings.LastIndexByte(path, '/'), 0)], c)
	}
}

func depth(path string) int {
	if path == "" {
		return 0
	}
	return 1 + strings.Count(path, "/")
}

func (t tally) sum(dir string) Evicted {
	var c Evicted
	for path, d := range t {
		switch {
		case within(path, dir):
			c.plus(d.Evicted)
		case !d.single && within(dir, path):
			c.Perhaps += d.Total
		}
	}
	return c
}

// takeBack removes and returns the count of one file.
func (t tally) takeBack(path string, qid uint64) Evicted {
	c, ok := t[path]
	if !ok || !c.single || c.qid != qid {
		return Evicted{}
	}
	delete(t, path)
	return c.Evicted
}

func (t tally) rename(oldPath, newPath string) {
	moved := make(tally)
	for path, c := range t {
		if within(path, oldPath) {
			delete(t, path)
			moved.merge(newPath+path[len(oldPath):], c)
		}
	}
	for path, c := range moved {
		t.merge(path, c)
	}
}
