package faultproxy

import (
	"strings"
	"testing"
)

func TestRuleSentencesRoundTrip(t *testing.T) {
	for _, s := range []string{
		"Twrite nth=3 reply=ENOSPC", "Tread delay=200ms", "Rwrite drop", "T* every=3 count=2 drop",
		"R* from=10 every=2 dup", "Twrite take=0", "Rread short=1", "Tread cut", "Tread cut=after",
		"Rread cut=mid", "Rread garbage", "Rread badframe", "Rread badframe=3", "Rread badtag",
		"Rread badtype", "Rread badtype=7", "Twalk hold", `Twrite ename="file system \"full\" = bad"`,
		"Tfsync rerror107=EIO", "Twrite delay=1.5s reply=4095", "Trenameat reply=EXDEV", "T200 drop",
		"conn cut after=1MiB", "conn cut after=1000 count=1", "link rtt=10ms rate=1Gbit", "link rate=100kbit",
		"link rtt=1ms", "stall", "refuse", "heal", "Tauth drop", "Topenfd drop", "Rlerror delay=1ms",
	} {
		r, err := ParseRule(s)
		if err != nil {
			t.Error(err)
		} else if r.String() != s {
			t.Errorf("%q is printed as %q", s, r)
		}
	}
	for from, to := range map[string]string{
		"  T118   reply=28\tnth=3 ":         "Twrite nth=3 reply=ENOSPC",
		"link rate=1000Mbit rtt=10000us":    "link rtt=10ms rate=1Gbit",
		"conn count=2 after=1024 cut":       "conn cut after=1KiB count=2",
		"Twrite take=5 delay=1000ms from=2": "Twrite from=2 delay=1s take=5",
	} {
		if r, err := ParseRule(from); err != nil || r.String() != to {
			t.Errorf("%q: %q, %v; want %q", from, r, err, to)
		}
	}
}

func TestRuleErrorsNameTheWord(t *testing.T) {
	for s, word := range map[string]string{
		"":                                  "empty",
		"Tfoo drop":                         "Tfoo",
		"T101 drop":                         "T101",
		"Twrite":                            "no action",
		"Twrite explode":                    "explode",
		"Twrite nth=0 drop":                 "nth",
		"Twrite nth=1 count=2 drop":         "alone",
		"Twrite nth=1 nth=2 drop":           "twice",
		"Rwrite reply=EIO":                  "T-messages",
		"Twrite reply=EWHAT":                "EWHAT",
		"Twrite drop cut":                   "two actions",
		"Twrite cut=before":                 "before",
		"Tread take=1":                      "Twrite",
		"Rreaddir short=1":                  "Rread",
		"Twrite drop=1":                     "no value",
		"Twrite hold delay=1s":              "exclude",
		"Twrite delay=-1s":                  "-1s",
		`Twrite ename=full`:                 "full",
		`Twrite ename="full`:                "quote",
		`Twrite ename="a"b`:                 "quote",
		"conn cut":                          "after",
		"conn drop":                         "drop",
		"conn cut after=1XB":                "1XB",
		"conn cut after=9999999GiB count=0": "count",
		"conn cut after=99999999999GiB":     "99999999999GiB",
		"link":                              "rtt",
		"link rtt=10":                       "10",
		"link rate=-1Gbit":                  "-1Gbit",
		"stall now":                         "now",
		"Rread badtype=256":                 "256",
	} {
		if r, err := ParseRule(s); err == nil {
			t.Errorf("%q is accepted as %q", s, r)
		} else if !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v does not say %q", s, err, word)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add("Twrite nth=3 reply=ENOSPC")
	f.Add(`T* from=3 every=2 count=9 delay=5ms ename="a b"`)
	f.Add("conn cut after=1MiB count=3")
	f.Add("link rtt=10ms rate=1Gbit")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRule(s)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil || again != r {
			t.Fatalf("%q -> %q -> %+v, %v; want %+v", s, r, again, err, r)
		}
	})
}

func TestSelectorsAdmitWhatTheySay(t *testing.T) {
	for s, want := range map[string]string{
		"Tread drop":                        "xxxxxxxxxx",
		"Tread nth=3 drop":                  "..x.......",
		"Tread from=8 drop":                 ".......xxx",
		"Tread count=2 drop":                "xx........",
		"Tread every=3 drop":                "..x..x..x.",
		"Tread from=3 every=2 drop":         "...x.x.x.x",
		"Tread from=3 every=2 count=2 drop": "...x.x....",
	} {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		got, fired := "", 0
		for seen := 1; seen <= 10; seen++ {
			if r.admits(seen, fired) {
				fired++
				got += "x"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
