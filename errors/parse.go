package errjournal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// A ParseError is what Parse yields for a line that is not a journal line.
type ParseError struct {
	Line int   // counted from 1
	Err  error // what is wrong with it
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("errjournal: line %d: %v; the line was skipped: read .errors again, or check that this is a p9mapfs journal", e.Line, e.Err)
}

func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads journal lines from r, as found in .errors, and yields their
// entries. Blank lines and lines that begin with # are passed over, and so
// are keys it does not know. A line that is malformed, lacks one of the keys
// that every line has, or is longer than MaxLine yields a zero Entry and a
// *ParseError; parsing goes on. An error from r is yielded last, and the piece
// of a line read before it is not used. The sequence reads r: range over it once.
func Parse(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		br := bufio.NewReaderSize(r, 64<<10)
		var buf []byte
		for n := 1; ; n++ {
			line, long, err := readLine(br, buf[:0])
			if err != nil && err != io.EOF {
				yield(Entry{}, fmt.Errorf("errjournal: line %d: %w", n, err))
				return
			}
			atEnd := err == io.EOF
			buf = line
			line = bytes.TrimSpace(line)
			switch {
			case long:
				if !yield(Entry{}, &ParseError{n, fmt.Errorf("longer than %d bytes", MaxLine)}) {
					return
				}
			case len(line) == 0 || line[0] == '#':
			default:
				e, err := parseLine(string(line))
				if err != nil {
					e, err = Entry{}, &ParseError{n, err}
				}
				if !yield(e, err) {
					return
				}
			}
			if atEnd {
				return
			}
		}
	}
}

// readLine reads up to and including the next newline and appends the line to
// buf without it. Of a line beyond MaxLine it keeps nothing but the fact.
func readLine(br *bufio.Reader, buf []byte) (line []byte, long bool, err error) {
	for {
		piece, err := br.ReadSlice('\n')
		if !long {
			buf = append(buf, piece...)
		}
		body := len(buf)
		if err == nil && !long {
			body-- // the newline
		}
		if body > MaxLine {
			long, buf = true, buf[:0]
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == nil && !long {
			buf = buf[:body]
		}
		return buf, long, err
	}
}

// The keys that every line has, in their order.
var required = []string{"seq", "time", "state", "op", "file", "off", "len", "errno", "msg", "tries"}

func parseLine(s string) (Entry, error) {
	var e Entry
	var seen uint // a bit for each of required, and one more for sum
	for s != "" {
		key, value, rest, err := nextField(s)
		if err != nil {
			return e, err
		}
		s = rest
		bit, err := e.set(key, value)
		if err != nil {
			return e, fmt.Errorf("key %s: %w", key, err)
		}
		if seen&bit != 0 {
			return e, fmt.Errorf("key %s: given twice", key)
		}
		seen |= bit
	}
	for i, key := range required {
		if seen&(1<<i) == 0 {
			return e, fmt.Errorf("key %s: missing", key)
		}
	}
	return e, nil
}

// nextField takes key=value or key="quoted value" from the front of s, and the
// blanks after it.
func nextField(s string) (key, value, rest string, err error) {
	i := strings.IndexAny(s, "= \t\"")
	if i <= 0 || s[i] != '=' {
		return "", "", "", fmt.Errorf("want key=value, have %s", excerpt(s))
	}
	key, s = s[:i], s[i+1:]
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err == nil {
			value, err = strconv.Unquote(quoted)
		}
		if err != nil {
			return "", "", "", fmt.Errorf("key %s: bad quotes in %s", excerpt(key), excerpt(s))
		}
		s = s[len(quoted):]
	} else {
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		value, s = s[:end], s[end:]
		if strings.Contains(value, `"`) {
			return "", "", "", fmt.Errorf("key %s: bad quotes in %s", excerpt(key), excerpt(value))
		}
	}
	rest = strings.TrimLeft(s, " \t")
	if rest != "" && rest == s {
		return "", "", "", fmt.Errorf("key %s: no blank before %s", excerpt(key), excerpt(s))
	}
	return key, value, rest, nil
}

// set gives e the value of key and returns the bit of the key, none for one
// that is not known.
func (e *Entry) set(key, value string) (bit uint, err error) {
	if key == "sum" {
		e.Sum = value
		return 1 << len(required), nil
	}
	for i, k := range required {
		if k == key {
			bit = 1 << i
		}
	}
	switch key {
	case "seq":
		e.Seq, err = strconv.ParseUint(value, 10, 64)
	case "time":
		e.Time, err = parseTime(value)
	case "state":
		e.State, err = ParseState(value)
	case "op":
		e.Op = value
	case "file":
		e.File = value
	case "off":
		e.Off, err = strconv.ParseInt(value, 10, 64)
	case "len":
		e.Len, err = strconv.ParseInt(value, 10, 64)
	case "errno":
		var ok bool
		if e.Errno, ok = parseErrno(value); !ok {
			err = fmt.Errorf("%s is neither the name of an errno nor a number", excerpt(value))
		}
	case "msg":
		e.Msg = value
	case "tries":
		e.Tries, err = strconv.Atoi(value)
	}
	if num := (*strconv.NumError)(nil); errors.As(err, &num) {
		err = fmt.Errorf("%s: %w", excerpt(value), num.Err)
	}
	return bit, err
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	t = millis(t)
	if err != nil || t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s is not a time such as %s", excerpt(s), timeFormat)
	}
	return t, nil
}

// excerpt quotes the beginning of s for an error message.
func excerpt(s string) string { return strconv.Quote(clipString(s, 48)) }
