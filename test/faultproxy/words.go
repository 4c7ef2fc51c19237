package faultproxy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// split cuts a sentence into words at spaces outside of double quotes.
func split(s string) ([]string, error) {
	var words []string
	for s = strings.TrimLeft(s, " \t"); s != ""; s = strings.TrimLeft(s, " \t") {
		end := strings.IndexAny(s, " \t\"")
		switch {
		case end < 0:
			end = len(s)
		case s[end] == '"':
			q, err := strconv.QuotedPrefix(s[end:])
			if err != nil {
				return nil, fmt.Errorf("a quote is not closed in %s", s)
			}
			end += len(q)
			if end < len(s) && s[end] != ' ' && s[end] != '\t' {
				return nil, fmt.Errorf("something follows the quote in %s", s)
			}
		}
		words = append(words, s[:end])
		s = s[end:]
	}
	return words, nil
}

func number(s string, bits int) (int64, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number below 2^%d", s, bits)
	}
	return int64(n), nil
}

func positive(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a positive duration", s)
	}
	return d, nil
}

type unit struct {
	name string
	size int64
}

var (
	byteUnits = []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}
	rateUnits = []unit{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
)

func parseBytes(s string) (int64, error) { return parseUnits(s, byteUnits) }
func parseRate(s string) (int64, error)  { return parseUnits(s, rateUnits) }
func formatBytes(n int64) string         { return formatUnits(n, byteUnits) }
func formatRate(n int64) string          { return formatUnits(n, rateUnits) }

func parseUnits(s string, units []unit) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/u.size {
			break
		}
		return n * u.size, nil
	}
	return 0, fmt.Errorf("%q is not a positive whole number with a unit such as %s", s, units[1].name)
}

func formatUnits(n int64, units []unit) string {
	for _, u := range units {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
