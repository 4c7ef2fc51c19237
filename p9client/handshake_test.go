package p9client

import (
	"slices"
	"testing"
)

// offered is a hook that notes what Tversions offer, and hangs up over some.
func (s *server) offered(hangUp func(offer string) bool) (offers func() []string) {
	var l []string
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != tversion {
			return false
		}
		d := decoder{b: m.body}
		d.u32()
		offer := d.str()
		l = append(l, offer)
		if hangUp(offer) {
			p.nc.Close()
			return true
		}
		return false
	})
	return func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Clone(l)
	}
}

// A later connection is offered what was agreed on, also if the server hangs up at
// first: it may just be starting.
func TestReconnectOffersTheKnownDialect(t *testing.T) {
	s := startServer(t)
	s.speak(Plain)
	x := s.dial(Options{})
	left := 3
	offers := s.offered(func(string) bool { left--; return left >= 0 })
	s.cut()
	check(t, getAttrOf(t, x))
	if l := offers(); !slices.Equal(l, []string{Plain, Plain, Plain, Plain}) {
		t.Errorf("offered: %q", l)
	}
}

// A server that knows it no more is offered all.
func TestReconnectToAServerOfAnotherDialect(t *testing.T) {
	s := startServer(t)
	s.speak(Plain)
	x := s.dial(Options{})
	s.speak(DotU)
	s.cut()
	check(t, getAttrOf(t, x))
	if x.Dialect() != DotU {
		t.Errorf("the session speaks %s", x.Dialect())
	}
}

// Who hangs up over what he does not know is asked for the next dialect, after a
// second try for each.
func TestServerThatHangsUpOverWhatItDoesNotKnow(t *testing.T) {
	s := startServer(t)
	s.speak(Plain)
	offers := s.offered(func(offer string) bool { return offer != Plain })
	x := s.dial(Options{})
	if x.Dialect() != Plain {
		t.Errorf("the session speaks %s", x.Dialect())
	}
	if l := offers(); !slices.Equal(l, []string{googleOffer, googleOffer, DotL, DotL, DotU, DotU, Plain}) {
		t.Errorf("offered: %q", l)
	}
}

func TestOffersOfEachDialect(t *testing.T) {
	for wanted, want := range map[string][]string{
		"": {googleOffer, DotL, DotU, Plain}, "auto": {googleOffer, DotL, DotU, Plain},
		DotL: {googleOffer, DotL}, DotU: {DotU}, Plain: {Plain},
	} {
		if l, err := offers(wanted); err != nil || !slices.Equal(l, want) {
			t.Errorf("%q: %q, %v", wanted, l, err)
		}
	}
}

func getAttrOf(t *testing.T, x *Session) error {
	t.Helper()
	_, err := x.Root().GetAttr(t.Context())
	return err
}
