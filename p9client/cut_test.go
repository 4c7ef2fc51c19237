package p9client

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A knife cuts a connection when so many bytes have come to the server, or from
// it. Below 0 it only counts.
type knife struct {
	net.Conn
	toServer, fromServer int // bytes that may still pass
}

func (k *knife) Read(p []byte) (int, error) {
	if k.toServer == 0 {
		k.Close()
		return 0, io.EOF
	}
	if k.toServer > 0 {
		p = p[:min(len(p), k.toServer)]
	}
	n, err := k.Conn.Read(p)
	k.toServer -= n
	return n, err
}

func (k *knife) Write(p []byte) (int, error) {
	if k.fromServer >= 0 && len(p) >= k.fromServer {
		n, _ := k.Conn.Write(p[:k.fromServer])
		k.fromServer -= n
		k.Close()
		return n, io.ErrClosedPipe
	}
	n, err := k.Conn.Write(p)
	k.fromServer -= n
	return n, err
}

// cuts are where the connections of a session are cut, in turn; later ones are
// let through. A cut below 0 is none.
type cuts []struct{ toServer, fromServer int }

func (c cuts) String() string {
	var l []string
	for _, k := range c {
		l = append(l, fmt.Sprintf("to server %d from server %d", k.toServer, k.fromServer))
	}
	return strings.Join(l, ", then ")
}

// A cutSession is a session that runs a script while its connections are cut.
type cutSession struct {
	t     *testing.T
	plan  plan
	s     *server
	x     *Session
	f     *Fid     // the script's open file
	trees []string // after each step, without cuts; nil: they are recorded
	cuts  int
	whole bool // the script goes on to its end
	conns int  // that the server has taken; guarded by server.mu
}

// A plan is the scripts of a dialect.
type plan struct {
	dialect string
	script  []step
	after   []step // leaves the tree as it was
	count   int    // bytes of a reply to a reading of a directory
	every   int    // how many bytes there are from a cut to the next
}

// on empties the server and has its connections cut.
func (c *cutSession) on(where cuts) {
	c.s.reset(c.t)
	c.s.speak(c.plan.dialect)
	c.cuts = len(where)
	c.s.setWrap(func(nc net.Conn) net.Conn {
		if c.conns++; c.conns > len(where) {
			return nc
		}
		return &knife{nc, where[c.conns-1].toServer, where[c.conns-1].fromServer}
	})
}

// cutAll tells whether a connection is there that is not cut.
func (c *cutSession) cutAll() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.conns > c.cuts
}

// run runs the script. After each step the server's tree must be what it is after
// that step without any cut. A step that fails must say so in a documented way,
// must have left the tree as it was or as it should be, and succeeds when it is
// repeated, unless it had succeeded. Unless the script is to be run whole, it ends
// some steps after the last cut.
func (c *cutSession) run(script []step) {
	const more = 4
	for i, left := 0, more; i < len(script) && (left > 0 || c.whole); i++ {
		if c.cuts > 0 && c.cutAll() {
			left--
		}
		st, before := script[i], c.tree()
		for try := 0; ; try++ {
			generation, sent := c.x.Link().Generation, c.s.count(twrite)+c.s.count(tfsync)
			err := st.do(c)
			if n := c.s.count(twrite) + c.s.count(tfsync) - sent; st.may == beDisconnected && n > 1 {
				c.t.Fatalf("%s: was sent %d times", st.name, n)
			}
			now := c.tree()
			if err == nil {
				c.expect(i, st, now)
				break
			}
			c.documented(st, err)
			if i < len(c.trees) && now != before && now != c.trees[i] {
				c.t.Fatalf("%s: %v, and left\n%swant\n%sor\n%s", st.name, err, now, before, c.trees[i])
			}
			if try == c.cuts {
				c.t.Fatalf("%s: fails the %dth time: %v", st.name, try+1, err)
			}
			c.awaitAfter(generation)
			if now != before && st.ifDone != nil {
				c.expect(i, st, now)
				check(c.t, st.ifDone(c))
				break
			}
		}
	}
}

// expect compares the tree after step i, or records it.
func (c *cutSession) expect(i int, st step, now string) {
	if i == len(c.trees) {
		c.trees = append(c.trees, now)
	} else if now != c.trees[i] {
		c.t.Fatalf("%s succeeds, and leaves\n%swant\n%s", st.name, now, c.trees[i])
	}
}

// documented checks that a failure is one that the step may have.
func (c *cutSession) documented(st step, err error) {
	var e *Error
	ok := errors.As(err, &e) && e.Op != ""
	switch st.may {
	case beDisconnected:
		ok = ok && e.Disconnected()
	case beAmbiguous:
		ok = ok && !e.Disconnected() && strings.Contains(e.Ename, "ambiguous")
	default:
		ok = false
	}
	if !ok {
		c.t.Fatalf("%s: %v (%T), which it may not say", st.name, err, err)
	}
}

// awaitAfter waits for a connection after the one of that generation.
func (c *cutSession) awaitAfter(generation uint64) {
	deadline := time.After(20 * time.Second)
	for {
		news, l := c.x.LinkChanged(), c.x.Link()
		if l.Up && l.Generation > generation {
			return
		}
		select {
		case <-news:
		case <-deadline:
			c.t.Fatalf("no connection after generation %d: %+v", generation, l)
		}
	}
}

// dial makes the session; it is not made again by itself if it never was.
func (c *cutSession) dial() {
	for try := 0; ; try++ {
		x, err := Dial(c.t.Context(), Address{"unix", c.s.path}, Options{
			Dialect: c.plan.dialect, Msize: hostileMsize, BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond})
		if err == nil {
			c.x = x
			c.t.Cleanup(func() { x.Close() })
			return
		}
		if try == c.cuts || !strings.Contains(err.Error(), c.s.path) {
			c.t.Fatalf("dial, the %dth time: %v", try+1, err)
		}
	}
}

// tree tells what the server has, in words: hard links and their number show, qids
// do not.
func (c *cutSession) tree() string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	seen := map[*node]int{}
	var b strings.Builder
	var list func(path string, n *node)
	list = func(path string, n *node) {
		if seen[n] == 0 {
			seen[n] = len(seen) + 1
		}
		fmt.Fprintf(&b, "%s: node %d type %#x mode %o data %q target %q\n", path, seen[n], n.qid.Type, n.mode, n.data, n.target)
		for _, name := range slices.Sorted(maps.Keys(n.kids)) {
			list(path+"/"+name, n.kids[name])
		}
	}
	list("", c.s.root)
	return b.String()
}

// fidsLeft checks that the server knows no fid but the root's.
func (c *cutSession) fidsLeft() {
	eventually(c.t, "all fids are clunked", func() bool {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		for p := range c.s.peers {
			if len(p.fids) > 1 {
				return false
			}
		}
		return true
	})
}

// cut runs the script under cuts, then another one on the same session.
func (c *cutSession) cut(where cuts) {
	c.on(where)
	c.dial()
	c.run(c.plan.script)
	if c.f != nil {
		c.f.Clunk()
	}
	c.afterwards()
	c.fidsLeft()
	if g := c.x.Link().Generation; g > uint64(c.cuts+1) {
		c.t.Errorf("generation %d", g)
	}
	c.x.Close()
	c.s.reset(c.t)
}

// afterwards runs the second script, which leaves the tree as it was. The last
// cut may be as late as that.
func (c *cutSession) afterwards() {
	before := c.tree()
	c.trees, c.whole = nil, true
	c.run(c.plan.after)
	if now := c.tree(); now != before {
		c.t.Errorf("afterwards the server has\n%swant\n%s", now, before)
	}
}

// dry runs the scripts without cuts. It returns the trees, and how many bytes the
// first script had pass each way.
func (p plan) dry(t *testing.T) (trees []string, toServer, fromServer int) {
	k := &knife{toServer: -1, fromServer: -1}
	for _, after := range []bool{true, false} {
		c := &cutSession{t: t, s: startServer(t), plan: p, whole: true}
		c.s.speak(p.dialect)
		c.s.setWrap(func(nc net.Conn) net.Conn { k.Conn = nc; return k })
		c.dial()
		c.run(p.script)
		c.f.Clunk()
		trees = c.trees
		if after {
			c.afterwards()
			c.s.setWrap(nil)
		}
		c.fidsLeft()
		c.x.Close()
		c.s.reset(t)
		if after {
			*k = knife{toServer: -1, fromServer: -1}
		}
	}
	return trees, -1 - k.toServer, -1 - k.fromServer
}

// Wherever the connection is cut, in whichever direction, each call succeeds with
// the right result or fails as documented; what it says is what the server has;
// and the session goes on. P9TEST_CUT="to server 17 from server -1" runs one.
func TestCutAtEveryByte(t *testing.T) {
	for _, p := range []plan{
		{DotL, dotLScript, afterScript, 64, 1},
		{Plain, legacyScript(false), afterScript, 100, 1},
		{DotU, legacyScript(true), afterScript, 140, 5}, // which has the same frames but for the stat entries
	} {
		t.Run(p.dialect, func(t *testing.T) { p.test(t) })
	}
}

func (p plan) test(t *testing.T) {
	trees, to, from := p.dry(t)
	if len(trees) != len(p.script) || to < 500 || from < 500 {
		t.Fatalf("%d trees, %d bytes to the server, %d from it", len(trees), to, from)
	}
	t.Logf("%d steps, %d bytes to the server, %d from it", len(p.script), to, from)

	var all []cuts
	for n := 0; n < to; n += p.every {
		all = append(all, cuts{{n, -1}})
	}
	for n := 0; n < from; n += p.every {
		all = append(all, cuts{{-1, n}})
	}
	const seed = 9
	rnd := rand.New(rand.NewPCG(seed, seed))
	for range 100 / p.every { // of two connections in a row
		all = append(all, cuts{{rnd.IntN(to), -1}, {-1, rnd.IntN(from)}}, cuts{{-1, rnd.IntN(from)}, {rnd.IntN(to / 2), -1}})
	}
	only := os.Getenv("P9TEST_CUT")
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 { // they mostly wait for the next connection
		s := startServer(t)
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				if name := all[i].String(); only == "" || only == name {
					t.Run(name, func(t *testing.T) {
						c := &cutSession{t: t, s: s, plan: p, trees: trees, whole: i%8 == 0}
						c.cut(all[i])
					})
				}
			}
		})
	}
	wg.Wait()
}
