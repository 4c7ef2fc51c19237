package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dustin/go-humanize"
)

// A size is a flag's number of bytes, as in 64MiB.
type size int64

func (s *size) String() string { return humanize.IBytes(uint64(*s)) }
func (*size) Type() string     { return "size" }

func (s *size) Set(v string) error {
	n, err := humanize.ParseBytes(v)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a size; write it like 64MiB", v)
	}
	*s = size(n)
	return nil
}

// A readAhead is a size, or auto, or off.
type readAhead int64

func (r *readAhead) Type() string { return "size|auto|off" }

func (r *readAhead) String() string {
	switch {
	case *r == 0:
		return "auto"
	case *r < 0:
		return "off"
	}
	return humanize.IBytes(uint64(*r))
}

func (r *readAhead) Set(v string) error {
	switch v {
	case "auto":
		*r = 0
	case "off", "0":
		*r = -1
	default:
		var s size
		if err := s.Set(v); err != nil {
			return fmt.Errorf("%q is neither auto nor off nor a size like 16MiB", v)
		}
		*r = readAhead(s)
	}
	return nil
}

// A choice is one of several words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }

func (c *choice) Set(v string) error {
	for _, w := range c.of {
		if v == w {
			c.value = v
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", v, strings.Join(c.of, ", "))
}

// level is the slog level of a --log-level.
func level(name string) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(name)) // the flag has checked it
	return l
}
