package test

import (
	"testing"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

// An answer that makes no sense costs a connection, and nobody notices more of it than that.
// Not on diod, which may die of SIGPIPE when a connection with requests in flight is reset.
func TestPromise17_NonsenseIsALostConnection(t *testing.T) {
	r := newRig(t, p9test.Embedded, "--hold-timeout", "30s")
	r.put("written", make([]byte, 64<<10))
	w := r.mapped("written")
	for i, rule := range []string{"Rread badframe", "Rread badtag", "Rread badtype", "Rread garbage", "Rwrite badtype", "Rwrite badtag", "Rfsync badtype"} {
		seed := uint64(i + 1)
		r.put("read", pattern.Bytes(0, 64<<10, seed))
		f := r.open("read", "r")
		r.ok(f.Map(r.ctx, 0, 0, "ro"))
		before := r.Proxy.Accepted()
		rule += " count=1"
		r.rules(rule)
		r.ok(f.Check(r.ctx, 0, 64<<10, seed))
		r.ok(w.Fill(r.ctx, 0, 64<<10, seed))
		r.ok(w.Msync(r.ctx))
		r.serverHas("written", 0, pattern.Bytes(0, 64<<10, seed))
		if r.Proxy.Fired(rule) != 1 || r.Proxy.Accepted() == before {
			t.Errorf("%s: fired %d times, %d connections were %d before", rule, r.Proxy.Fired(rule), r.Proxy.Accepted(), before)
		}
		for _, e := range r.journal() {
			if e.State != errjournal.Resolved && e.State != errjournal.Superseded {
				t.Errorf("%s: %v", rule, e)
			}
		}
		r.ok(f.Unmap(r.ctx))
		r.ok(f.Close(r.ctx))
		r.Proxy.Clear()
	}
}
