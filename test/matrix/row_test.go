//go:build matrix

package matrix

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

// A row is a mount, on which its cases are tested one after the other.
type row struct {
	*p9test.Mounted
	helper *p9test.Helper
}

func newRow(t *testing.T, c cell) *row {
	// What is refused is sent again by fsync only.
	flags := []string{"--retry-interval", "1m", "--exit-timeout", "2s", "--attr-timeout", "0"}
	switch c.policy {
	case "hold":
		flags = append(flags, "--hold-timeout", "0")
	case "expire":
		flags = append(flags, "--hold-timeout", "100ms")
	case "fail":
		flags = append(flags, "--on-disconnect", "fail")
	}
	if c.slow() {
		flags = append(flags, "--request-timeout", requestTimeout)
	}
	m := p9test.Mount(t, t.TempDir(), p9test.WithServer(c.server), p9test.OverTCP(), p9test.Through(), p9test.Flags(flags...))
	return &row{m, p9test.StartHelper(t)}
}

// A run is one case under way.
type run struct {
	*row
	cell
	t        *testing.T
	ctx      context.Context
	slot     int    // of what trigger opens
	dir      string // below the mount and the export
	accepted int    // connections before the fault
	lost     int    // and how many of them were lost

	f, other, look *p9test.File   // handles of the file that is written
	target         *p9test.File   // what trigger works on, if that has to be open
	syncs          []*p9test.Call // those that wait
}

// limit bounds a case, and each wait in it.
const limit = 30 * time.Second

func (r *row) test(t *testing.T, c cell, i int) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	x := &run{row: r, cell: c, t: t, ctx: ctx, slot: opened + i, dir: fmt.Sprintf("case%d", i)}
	defer func() {
		if t.Failed() {
			text, err := x.journalText()
			t.Logf("%v\ngo test -race -run '%s' ./test/matrix\n.errors: %v\n%s\nfault proxy:\n%s", c, c.run(), err, text, strings.Join(x.Proxy.Log(), "\n"))
		}
		if err := x.Proxy.Heal(); err != nil {
			t.Error(err)
		}
	}()
	x.play()
}

func (x *run) ok(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// is compares a call's answer with its verdict.
func (x *run) is(call string, v verdict, err error) {
	x.t.Helper()
	lost := verdict{conn: true, sigbus: true}
	switch {
	case v.admits(err):
	case x.slow() && x.policy == "fail" && v.admits(nil) && lost.admits(err):
		// A server on a busy machine may be taken for a silent one.
		x.await("the loss that "+call+" has told", func() bool { return x.said("connection lost") > x.lost })
	default:
		x.t.Errorf("%s answered %v; promised is %v", call, err, v)
	}
}

// await waits for a condition.
func (x *run) await(what string, cond func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(limit); !cond(); {
		if time.Now().After(deadline) {
			x.t.Fatalf("waited %v for %s", limit, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// said is how often the daemon has said so.
func (x *run) said(words string) int { return strings.Count(x.Stderr(), words) }

func (x *run) journalText() (string, error) {
	b, err := os.ReadFile(filepath.Join(x.Path, ".errors"))
	return string(b), err
}

// journal is what .errors has of a file of this case.
func (x *run) journal(name string) (l []errjournal.Entry) {
	x.t.Helper()
	text, err := x.journalText()
	x.ok(err)
	for e, err := range errjournal.Parse(strings.NewReader(text)) {
		x.ok(err)
		if e.File == x.dir+"/"+name {
			l = append(l, e)
		}
	}
	return l
}

// told tells whether what .errors says of the file is what v promises while the
// fault lasts.
func (x *run) told(v view) bool {
	found := !v.held
	for _, e := range x.journal("f") {
		switch {
		case !e.State.Open():
		case v.held && e.State == v.state && (v.errno == 0 || e.Errno == v.errno):
			found = true
		default:
			return false
		}
	}
	return found
}

// settled tells whether nothing of the case's files is open in .errors, nor dropped.
func (x *run) settled() bool {
	for _, name := range []string{"f", "g", "h", "t", "n"} {
		for _, e := range x.journal(name) {
			if e.State.Open() || e.State == errjournal.Dropped {
				return false
			}
		}
	}
	return true
}

func (x *run) serverFile(name string) []byte {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.Dir, x.dir, name))
	x.ok(err)
	return b
}

// serverHas tells whether the server's file is these bytes.
func (x *run) serverHas(name string, want []byte) bool {
	x.t.Helper()
	return bytes.Equal(x.serverFile(name), want)
}

func ended(c *p9test.Call) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
