package faultproxy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rule is one parsed sentence; the package comment tells the language.
// The zero value of a selector means that it was not given.
type Rule struct {
	Subject string // message name, T*, R*, "conn", "link", "stall", "refuse" or "heal"

	Nth, From, Every, Count int // selectors

	Action string        // "reply", "drop", "cut", ..., "" for a bare delay
	Errno  uint32        // reply, rerror107
	Ename  string        // ename
	N      int64         // short, take, badframe, badtype: the number; conn cut: bytes
	Where  string        // cut: "", "after", "mid"
	Delay  time.Duration // delay
	RTT    time.Duration // link: half of it each way
	Rate   int64         // link: bits per second in each direction, 0 = no limit
}

// bareN is N of badframe and badtype without a number.
const bareN = -1

// ParseRule parses one sentence. The error names the word that is wrong.
func ParseRule(sentence string) (Rule, error) {
	r, err := parseRule(sentence)
	if err != nil {
		return Rule{}, fmt.Errorf("fault rule %q: %w", sentence, err)
	}
	return r, nil
}

func parseRule(sentence string) (Rule, error) {
	words, err := split(sentence)
	if err != nil {
		return Rule{}, err
	}
	if len(words) == 0 {
		return Rule{}, fmt.Errorf("empty")
	}
	r := Rule{Subject: words[0]}
	words = words[1:]
	switch r.Subject {
	case "stall", "refuse", "heal":
		if len(words) > 0 {
			return r, fmt.Errorf("%s takes no %q", r.Subject, words[0])
		}
		return r, nil
	case "conn":
		return r, r.parseConn(words)
	case "link":
		return r, r.parseLink(words)
	case "T*", "R*":
	default:
		t, err := parseName(r.Subject)
		if err != nil {
			return r, err
		}
		r.Subject = nameOf[t]
	}
	return r, r.parseMessage(words)
}

func (r *Rule) parseMessage(words []string) error {
	for _, w := range words {
		key, val, hasVal := strings.Cut(w, "=")
		if known, err := r.parseSelector(key, val, hasVal); err != nil {
			return err
		} else if known {
			continue
		}
		if key == "delay" {
			d, err := positive(val)
			if err != nil {
				return err
			}
			if r.Delay != 0 {
				return fmt.Errorf("two delays")
			}
			r.Delay = d
			continue
		}
		if r.Action != "" {
			return fmt.Errorf("two actions, %s and %s", r.Action, key)
		}
		r.Action = key
		if err := r.parseAction(key, val, hasVal); err != nil {
			return err
		}
	}
	switch {
	case r.Action == "" && r.Delay == 0:
		return fmt.Errorf("no action")
	case r.Action == "hold" && r.Delay != 0:
		return fmt.Errorf("hold and delay exclude each other")
	case r.Nth != 0 && (r.From != 0 || r.Every != 0 || r.Count != 0):
		return fmt.Errorf("nth= stands alone")
	}
	return nil
}

func (r *Rule) parseSelector(key, val string, hasVal bool) (known bool, err error) {
	p := map[string]*int{"nth": &r.Nth, "from": &r.From, "every": &r.Every, "count": &r.Count}[key]
	if p == nil {
		return false, nil
	}
	n, err := strconv.Atoi(val)
	if !hasVal || err != nil || n < 1 {
		return true, fmt.Errorf("%s= needs a number from 1, not %q", key, val)
	}
	if *p != 0 {
		return true, fmt.Errorf("%s= twice", key)
	}
	*p = n
	return true, nil
}

func (r *Rule) parseAction(key, val string, hasVal bool) (err error) {
	isT, isR := directions(r.Subject)
	switch key {
	case "reply", "rerror107", "ename":
		if !isT {
			return fmt.Errorf("%s= answers T-messages only", key)
		}
		if key == "ename" {
			if r.Ename, err = strconv.Unquote(val); err != nil || len(r.Ename) > 65535 {
				return fmt.Errorf("ename= needs a quoted string, not %s", val)
			}
			return nil
		}
		r.Errno, err = parseErrno(val)
		return err
	case "short":
		if !isR || r.Subject != "Rread" && r.Subject != "Rwrite" {
			return fmt.Errorf("short= is for Rread and Rwrite")
		}
		r.N, err = number(val, 32)
		return err
	case "take":
		if r.Subject != "Twrite" {
			return fmt.Errorf("take= is for Twrite")
		}
		r.N, err = number(val, 32)
		return err
	case "badframe", "badtype":
		r.N = bareN
		if hasVal {
			r.N, err = number(val, map[string]int{"badframe": 32, "badtype": 8}[key])
		}
		return err
	case "cut":
		if hasVal && val != "after" && val != "mid" {
			return fmt.Errorf("cut=%s: after or mid", val)
		}
		r.Where = val
		return nil
	case "drop", "garbage", "badtag", "dup", "hold":
		if hasVal {
			return fmt.Errorf("%s takes no value", key)
		}
		return nil
	}
	return fmt.Errorf("unknown word %q", key)
}

func (r *Rule) parseConn(words []string) error {
	for _, w := range words {
		key, val, hasVal := strings.Cut(w, "=")
		switch {
		case key == "cut" && !hasVal && r.Action == "":
			r.Action = key
		case key == "after" && r.N == 0:
			n, err := parseBytes(val)
			if err != nil {
				return err
			}
			r.N = n
		case key == "count":
			if _, err := r.parseSelector(key, val, hasVal); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown word %q", w)
		}
	}
	if r.Action == "" || r.N == 0 {
		return fmt.Errorf("conn cut after=BYTES [count=N] is the only form")
	}
	return nil
}

func (r *Rule) parseLink(words []string) error {
	for _, w := range words {
		key, val, _ := strings.Cut(w, "=")
		var err error
		switch {
		case key == "rtt" && r.RTT == 0:
			r.RTT, err = positive(val)
		case key == "rate" && r.Rate == 0:
			r.Rate, err = parseRate(val)
		default:
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			return err
		}
	}
	if r.RTT == 0 && r.Rate == 0 {
		return fmt.Errorf("link needs rtt= or rate=")
	}
	return nil
}

// String prints the sentence in the one form that ParseRule gives back unchanged.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(r.Subject)
	word := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	if r.Subject == "conn" {
		word("cut after=%s", formatBytes(r.N))
	}
	for _, s := range []struct {
		key string
		n   int
	}{{"nth", r.Nth}, {"from", r.From}, {"every", r.Every}, {"count", r.Count}} {
		if s.n != 0 {
			word("%s=%d", s.key, s.n)
		}
	}
	if r.RTT != 0 {
		word("rtt=%s", r.RTT)
	}
	if r.Rate != 0 {
		word("rate=%s", formatRate(r.Rate))
	}
	if r.Delay != 0 {
		word("delay=%s", r.Delay)
	}
	switch r.Action {
	case "":
	case "reply", "rerror107":
		word("%s=%s", r.Action, errnoString(r.Errno))
	case "ename":
		word("ename=%s", strconv.Quote(r.Ename))
	case "short", "take":
		word("%s=%d", r.Action, r.N)
	case "badframe", "badtype":
		word("%s", r.Action)
		if r.N != bareN {
			fmt.Fprintf(&b, "=%d", r.N)
		}
	case "cut":
		if r.Subject == "conn" {
			break
		}
		word("cut")
		if r.Where != "" {
			fmt.Fprintf(&b, "=%s", r.Where)
		}
	default:
		word("%s", r.Action)
	}
	return b.String()
}

// admits tells whether the rule fires on its seen'th match (from 1), having fired fired times.
func (r Rule) admits(seen, fired int) bool {
	if r.Nth != 0 {
		return seen == r.Nth
	}
	from := max(r.From, 1)
	switch {
	case r.Count != 0 && fired >= r.Count, seen < from:
		return false
	case r.Every != 0:
		return (seen-from+1)%r.Every == 0
	}
	return true
}
