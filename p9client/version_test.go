package p9client

import (
	"net"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestSettle(t *testing.T) {
	all, _ := offers("auto")
	for _, row := range []struct {
		offer, answer string
		rest          []string
		version       string
		next          []string
	}{
		{googleOffer, googleOffer, all[1:], googleOffer, nil},
		{googleOffer, "9P2000.L.Google.2", all[1:], "9P2000.L.Google.2", nil},
		{googleOffer, "9P2000.L.Google.7", all[1:], "", all[1:]}, // more than was offered
		{googleOffer, "9P2000.L.Google.-1", all[1:], "", all[1:]},
		{googleOffer, DotL, all[1:], DotL, nil},
		{googleOffer, "unknown", all[1:], "", all[1:]},
		{googleOffer, Plain, all[1:], "", []string{DotU, Plain}}, // it may know .u
		{googleOffer, DotU, all[1:], DotU, nil},
		{DotL, Plain, all[2:], "", []string{DotU, Plain}},
		{DotL, DotL, all[2:], DotL, nil},
		{DotU, Plain, all[3:], Plain, nil},
		{DotU, DotU, all[3:], DotU, nil},
		{DotU, "9P2000.ix", all[3:], "", all[3:]},
		{Plain, Plain, nil, Plain, nil},
		{Plain, "9P1992", nil, "", nil},
		{DotL, Plain, nil, "", nil}, // only .L is wanted
		{DotL, "", nil, "", nil},
	} {
		version, next := settle(row.offer, row.answer, row.rest)
		if version != row.version || version == "" && !slices.Equal(next, row.next) {
			t.Errorf("%q answered to %q: %q, then %q; want %q, then %q", row.answer, row.offer, version, next, row.version, row.next)
		}
	}
}

// A server that knows a dialect is found by it whatever it does about the others.
func TestDialectsAreTriedInTurn(t *testing.T) {
	type server func(offer string) (answer string, hangUp bool)
	known := func(names ...string) server {
		return func(offer string) (string, bool) {
			if slices.Contains(names, offer) {
				return offer, false
			}
			return "unknown", false
		}
	}
	for name, row := range map[string]struct {
		s    server
		want string
	}{
		"all":               {known(googleOffer, DotL, DotU, Plain), googleOffer},
		".L":                {known(DotL), DotL},
		".u":                {known(DotU), DotU},
		"9P2000":            {known(Plain), Plain},
		".u, 9P2000 else":   {func(o string) (string, bool) { return map[bool]string{true: DotU, false: Plain}[o == DotU], false }, DotU},
		"9P2000 in any way": {func(string) (string, bool) { return Plain, false }, Plain},
		"hangs up over .L":  {func(o string) (string, bool) { return Plain, o != Plain }, Plain},
		"an error over .L":  {func(o string) (string, bool) { return map[bool]string{true: Plain, false: "!"}[o == Plain], false }, Plain},
	} {
		t.Run(name, func(t *testing.T) {
			versions, err := offers("")
			if err != nil {
				t.Fatal(err)
			}
			for range 5 { // connections
				a, b := net.Pipe()
				a.SetDeadline(time.Now().Add(10 * time.Second))
				done := make(chan struct{})
				go func() { versionServer(b, row.s); close(done) }()
				version, msize, rest, err := agree(a, 8216, versions)
				a.Close()
				<-done
				if err == nil {
					if version != row.want || msize != 8192 {
						t.Errorf("agreed on %q, %d; want %q", version, msize, row.want)
					}
					return
				}
				if versions = rest; !hungUp(err) || len(rest) == 0 {
					t.Fatal(err)
				}
			}
			t.Fatal("no end of connections")
		})
	}
}

// versionServer answers Tversions as s says; "!" is an Rlerror with EIO.
func versionServer(nc net.Conn, s func(offer string) (string, bool)) {
	defer nc.Close()
	buf := make([]byte, 256)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		d := decoder{b: buf[headerLen:n]}
		d.u32()
		answer, hangUp := s(d.str())
		if hangUp {
			return
		}
		var e encoder
		if answer == "!" {
			e.begin(rlerror)
			e.u32(5)
		} else {
			e.begin(tversion + 1)
			e.u32(8192)
			e.str(answer)
		}
		e.finish(noTag, 0)
		nc.Write(e.b)
	}
}

func TestUnknownDialectIsRefused(t *testing.T) {
	if l, err := offers("9P3000"); err == nil {
		t.Errorf("offers: %q", l)
	}
	if l, err := offers(DotU); err != nil || !reflect.DeepEqual(l, []string{DotU}) {
		t.Errorf("offers: %q, %v", l, err)
	}
}
