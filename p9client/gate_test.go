package p9client

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func gateCall(of kind, bytes int) *call {
	return &call{kind: of, bytes: bytes, turn: make(chan struct{}, 1)}
}

// told tells whether a call that was in line has a tag now.
func told(cl *call) bool {
	select {
	case <-cl.turn:
		return true
	default:
		return false
	}
}

// No kind of request waits for a tag because of another kind.
func TestEachKindHasTagsOfItsOwn(t *testing.T) {
	for first := range kinds {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			var g gate
			g.init()
			for i := range 2 * maxCalls {
				if got, want := g.enter(gateCall(first, 1)), i < quotas[first]; got != want {
					t.Fatalf("call %d is let in: %v", i, got)
				}
			}
			for k := range kinds {
				if k != first && !g.enter(gateCall(k, 1)) {
					t.Errorf("kind %d has no tag", k)
				}
			}
		})
	}
	if sum := quotas[other] + quotas[reading] + quotas[writing]; sum != maxCalls {
		t.Errorf("the quotas are %d, the tags %d", sum, maxCalls)
	}
}

// The data that is asked for has a bound; who does not fit waits, and nobody
// passes him.
func TestDataInFlightIsBounded(t *testing.T) {
	const most = maxBytes
	for _, test := range []struct {
		name  string
		calls []int // their bytes, in the order of their coming
		in    int   // how many are let in at once
		end   int   // the call that ends, or leaves the line
		then  []int // who is let in then
	}{
		{"one that is too large goes alone", []int{2 * most, 1, 1}, 1, 0, []int{1, 2}},
		{"exactly full", []int{most / 2, most / 2, 1, 1}, 2, 1, []int{2, 3}},
		{"small ones do not pass a large one", []int{most / 2, most, 1}, 1, 0, []int{1}},
		{"who leaves makes room for those behind him", []int{most / 2, most, 1, 2}, 1, 1, []int{2, 3}},
		{"one end lets many in", []int{most, 1, 1, 1}, 1, 0, []int{1, 2, 3}},
	} {
		var g gate
		g.init()
		var calls []*call
		for i, bytes := range test.calls {
			cl := gateCall(writing, bytes)
			calls = append(calls, cl)
			if got := g.enter(cl); got != (i < test.in) {
				t.Errorf("%s: call %d is let in: %v", test.name, i, got)
			}
		}
		if end := calls[test.end]; test.end < test.in {
			g.exit(end.tag, end.kind, end.bytes)
		} else if !g.leave(end) {
			t.Errorf("%s: call %d was not in line", test.name, test.end)
		}
		var then []int
		for i, cl := range calls {
			if told(cl) {
				then = append(then, i)
			}
		}
		if fmt.Sprint(then) != fmt.Sprint(test.then) {
			t.Errorf("%s: then %v are let in, want %v", test.name, then, test.then)
		}
	}
}

// Whatever comes and goes: no tag is given twice, each kind is let in by order of
// coming within its bounds, and nobody waits for whom there is room.
func TestGateKeepsItsBounds(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	var g gate
	g.init()
	var in, waiting []*call
	for step := range 20_000 {
		switch n := rnd.IntN(10); {
		case n < 5 || len(in) == 0:
			cl := gateCall(kind(rnd.IntN(int(kinds))), rnd.IntN(1<<(1+rnd.IntN(26))))
			if g.enter(cl) {
				in = append(in, cl)
			} else {
				waiting = append(waiting, cl)
			}
		case n == 5 && len(waiting) > 0:
			i := rnd.IntN(len(waiting))
			cl := waiting[i]
			waiting = append(waiting[:i:i], waiting[i+1:]...)
			if !g.leave(cl) {
				t.Fatalf("step %d: a call that waits is not in line", step)
			}
		default:
			i := rnd.IntN(len(in))
			cl := in[i]
			in = append(in[:i:i], in[i+1:]...)
			g.exit(cl.tag, cl.kind, cl.bytes)
		}
		var still []*call
		var blocked [kinds]bool
		for _, cl := range waiting {
			switch {
			case !told(cl):
				blocked[cl.kind] = true
				still = append(still, cl)
			case blocked[cl.kind]:
				t.Fatalf("step %d: a call passed another in its line", step)
			default:
				in = append(in, cl)
			}
		}
		waiting = still
		checkGate(t, step, &g, in, waiting)
	}
}

func checkGate(t *testing.T, step int, g *gate, in, waiting []*call) {
	t.Helper()
	tags := map[uint16]bool{}
	var calls, bytes [kinds]int
	for _, cl := range in {
		if tags[cl.tag] {
			t.Fatalf("step %d: tag %d is given twice", step, cl.tag)
		}
		tags[cl.tag] = true
		calls[cl.kind]++
		bytes[cl.kind] += cl.bytes
	}
	if g.n != maxCalls-len(in) {
		t.Fatalf("step %d: %d tags are free, %d in use", step, g.n, len(in))
	}
	for k := range kinds {
		if calls[k] > quotas[k] || bytes[k] > maxBytes && calls[k] > 1 && !oneTooLarge(in, k) {
			t.Fatalf("step %d: kind %d has %d calls, %d bytes", step, k, calls[k], bytes[k])
		}
	}
	seen := [kinds]bool{}
	for _, cl := range waiting {
		if !seen[cl.kind] && calls[cl.kind] < quotas[cl.kind] && bytes[cl.kind]+cl.bytes <= maxBytes {
			t.Fatalf("step %d: a call of kind %d waits though there is room", step, cl.kind)
		}
		seen[cl.kind] = true
	}
}

// oneTooLarge tells whether a call is beyond the bound alone: it may have others
// without a byte beside it.
func oneTooLarge(in []*call, of kind) bool {
	some := 0
	for _, cl := range in {
		if cl.kind == of && cl.bytes > 0 {
			some++
		}
	}
	return some == 1
}

func TestOutboxKeepsOrderAndGivesBack(t *testing.T) {
	var o outbox
	for i, s := range []string{"zero", "one", "two", "three"} {
		o.put(uint16(i), []byte(s[:1]), []byte(s[1:]))
	}
	if !o.remove(1) || o.remove(1) || o.remove(9) {
		t.Error("remove does not say what was there")
	}
	spare := make([]byte, 3, 100)
	if b := o.take(spare); string(b) != "zerotwothree" || !o.empty() || o.remove(2) {
		t.Errorf("%q", b)
	}
	o.put(5, []byte("next"), nil)
	if b := o.take(nil); string(b) != "next" {
		t.Errorf("%q", b)
	}
}
