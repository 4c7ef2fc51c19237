package errjournal

import (
	"fmt"
	"io"
	"strconv"
)

// MaxLine is the length in bytes, without the newline, of the longest line
// that AppendText makes and Parse reads.
const MaxLine = 1 << 20

const timeFormat = "2006-01-02T15:04:05.000Z"

// AppendText appends the line of e, without a newline, to b. It fails, and
// returns b as it was, for an unknown State, a year outside of 0 to 9999, and
// a line beyond MaxLine. It implements encoding.TextAppender.
func (e Entry) AppendText(b []byte) ([]byte, error) {
	t := e.Time.UTC()
	switch {
	case e.State >= nStates:
		return b, fmt.Errorf("errjournal: seq %d: unknown state %d", e.Seq, uint8(e.State))
	case t.Year() < 0 || t.Year() > 9999:
		return b, fmt.Errorf("errjournal: seq %d: year %d is outside of 0 to 9999", e.Seq, t.Year())
	}
	start := len(b)
	line := append(b, "seq="...)
	line = strconv.AppendUint(line, e.Seq, 10)
	line = append(line, " time="...)
	line = t.AppendFormat(line, timeFormat)
	line = append(line, " state="...)
	line = append(line, stateNames[e.State]...)
	line = append(line, " op="...)
	line = appendWord(line, e.Op)
	line = append(line, " file="...)
	line = strconv.AppendQuote(line, e.File)
	line = append(line, " off="...)
	line = strconv.AppendInt(line, e.Off, 10)
	line = append(line, " len="...)
	line = strconv.AppendInt(line, e.Len, 10)
	line = append(line, " errno="...)
	line = appendErrno(line, e.Errno)
	line = append(line, " msg="...)
	line = strconv.AppendQuote(line, e.Msg)
	line = append(line, " tries="...)
	line = strconv.AppendInt(line, int64(e.Tries), 10)
	if e.Sum != "" {
		line = append(line, " sum="...)
		line = appendWord(line, e.Sum)
	}
	if n := len(line) - start; n > MaxLine {
		return b, fmt.Errorf("errjournal: seq %d: a line of %d bytes is longer than %d", e.Seq, n, MaxLine)
	}
	return line, nil
}

// String returns the line of e, or says why it has none.
func (e Entry) String() string {
	b, err := e.AppendText(nil)
	if err != nil {
		return "# " + err.Error()
	}
	return string(b)
}

// appendWord appends s bare where that can be read back, else quoted.
func appendWord(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return strconv.AppendQuote(b, s)
		}
	}
	if s == "" {
		return append(b, `""`...)
	}
	return append(b, s...)
}

// writeLines writes head, which is empty or ends in a newline, and a line for
// each entry. An entry that cannot be a line becomes a comment that says so.
func writeLines(w io.Writer, head []byte, entries []Entry) (written int64, err error) {
	const chunk = 64 << 10
	buf := head
	flush := func() error {
		if len(buf) == 0 {
			return nil
		}
		n, err := w.Write(buf)
		written += int64(n)
		if err == nil && n < len(buf) {
			err = io.ErrShortWrite
		}
		buf = buf[:0]
		return err
	}
	for _, e := range entries {
		line, err := e.AppendText(buf)
		if err != nil {
			line = append(line, "# "+err.Error()...)
		}
		buf = append(line, '\n')
		if len(buf) >= chunk {
			if err := flush(); err != nil {
				return written, err
			}
		}
	}
	return written, flush()
}
