package errjournal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

const designLine = `seq=12 time=2026-11-23T15:04:05.123Z state=failed op=Twrite file="lib/words" off=4096 len=8192 errno=ENOSPC msg="file system full" tries=3`

var designEntry = Entry{
	Seq: 12, Time: time.Date(2026, 11, 23, 15, 4, 5, 123e6, time.UTC), State: Failed, Op: "Twrite",
	File: "lib/words", Off: 4096, Len: 8192, Errno: syscall.ENOSPC, Msg: "file system full", Tries: 3,
}

func parseAll(r io.Reader) (entries []Entry, errs []error) {
	for e, err := range Parse(r) {
		if err != nil {
			errs = append(errs, err)
		} else {
			entries = append(entries, e)
		}
	}
	return entries, errs
}

func TestLineIsAsDocumented(t *testing.T) {
	if got := designEntry.String(); got != designLine {
		t.Errorf("got  %s\nwant %s", got, designLine)
	}
	e := designEntry
	e.State, e.Sum, e.Errno, e.Op, e.Msg = Dropped, Checksum([]byte("1234"), []byte("56789")), 4000, "", "a\nb\x00\xff"
	want := `seq=12 time=2026-11-23T15:04:05.123Z state=dropped op="" file="lib/words" off=4096 len=8192 errno=4000 msg="a\nb\x00\xff" tries=3 sum=crc32c:e3069283`
	if got := e.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLineThatCannotBeIsRefusedAndLeavesTheBuffer(t *testing.T) {
	for name, e := range map[string]Entry{
		"state": {State: nStates},
		"year":  {Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"long":  {File: strings.Repeat("x", MaxLine)},
	} {
		b, err := e.AppendText([]byte("before"))
		if err == nil || string(b) != "before" {
			t.Errorf("%s: got %.40q, %v", name, b, err)
		}
		if !strings.HasPrefix(e.String(), "# ") {
			t.Errorf("%s: String is %.40q", name, e.String())
		}
	}
}

func genEntry(t *rapid.T) Entry {
	raw := rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"", "a=b", `"`, `\`, "\n# seq=1", "a b", "crc32c:00000000", "\u2028\ufffd"}),
	)
	return Entry{
		Seq:   rapid.Uint64().Draw(t, "seq"),
		Time:  time.UnixMilli(rapid.Int64Range(-62167219200000, 253402300799999).Draw(t, "ms")).UTC(),
		State: State(rapid.IntRange(0, int(nStates)-1).Draw(t, "state")),
		Op:    raw.Draw(t, "op"),
		File:  raw.Draw(t, "file"),
		Off:   rapid.Int64().Draw(t, "off"),
		Len:   rapid.Int64().Draw(t, "len"),
		Errno: syscall.Errno(rapid.OneOf(rapid.UintptrRange(0, 140), rapid.Uintptr()).Draw(t, "errno")),
		Msg:   raw.Draw(t, "msg"),
		Tries: rapid.Int().Draw(t, "tries"),
		Sum:   raw.Draw(t, "sum"),
	}
}

func TestParseReturnsWhatAppendTextWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(genEntry), 1, 4).Draw(t, "entries")
		var text []byte
		for _, e := range want {
			var err error
			if text, err = e.AppendText(append(text, "# c\n\n"...)); err != nil {
				t.Fatal(err)
			}
			text = append(text, '\n')
		}
		got, errs := parseAll(bytes.NewReader(text))
		if len(errs) > 0 || len(got) != len(want) {
			t.Fatalf("%d entries of %d, errors %v from\n%s", len(got), len(want), errs, text)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("got  %#v\nwant %#v", got[i], want[i])
			}
		}
	})
}

func TestParseToleratesWhatLaterVersionsMayWrite(t *testing.T) {
	shuffled := `msg="file system full" tries="3" seq=12 time=2026-11-23T16:04:05.123999+01:00 state=failed op="Twrite" off=4096 len=8192 errno=28 file=lib/words`
	for name, text := range map[string]string{
		"no last newline": designLine,
		"carriage return": designLine + "\r\n",
		"blanks":          "\n \t\n  " + designLine + "  \n\n",
		"comment":         "# 3 older entries dropped\n" + designLine + "\n",
		"unknown keys":    strings.Replace(designLine, " op=", ` later="x \" y" new=1 empty= op=`, 1) + " more=2\n",
		"other order":     shuffled,
	} {
		got, errs := parseAll(strings.NewReader(text))
		if len(errs) > 0 || len(got) != 1 || got[0] != designEntry {
			t.Errorf("%s: got %v, errors %v", name, got, errs)
		}
	}
}

func TestParseNamesTheBadLineAndGoesOn(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(designLine, old, new, 1) }
	for bad, want := range map[string]string{
		"what is this":                  "want key=value",
		"=x":                            "want key=value",
		edit("seq=12 ", ""):             "key seq: missing",
		edit(" tries=3", ""):            "key tries: missing",
		designLine[:len(designLine)-12]: "key \"msg\": bad quotes",
		edit("seq=12", "seq=-1"):        "key seq: \"-1\": invalid syntax",
		edit("off=4096", "off=1e3"):     "key off: \"1e3\": invalid syntax",
		edit("len=8192", "len="+"9"+strings.Repeat("9", 400)):         "key len: \"9999",
		edit("state=failed", "state=fine"):                            "key state: unknown state \"fine\"",
		edit("ENOSPC", "ENONSENSE"):                                   "key errno: \"ENONSENSE\" is neither",
		edit("2026-", "26-"):                                          "is not a time such as",
		edit("2026-11-23T15:04:05.123Z", "0000-01-01T00:00:00+01:00"): "is not a time such as",
		edit(`"lib/words"`, `"lib/words`):                             "no blank before",
		edit(`"lib/words"`, `lib"words`):                              "key \"file\": bad quotes",
		edit(`"lib/words"`, `"lib/words"x`):                           "no blank before",
		edit(`"lib/words"`, `"lib\qwords"`):                           "bad quotes",
		designLine + " seq=12":                                        "key seq: given twice",
		designLine + " sum=a sum=b":                                   "key sum: given twice",
		strings.Repeat("x", MaxLine+1):                                "longer than 1048576 bytes",
		"#" + strings.Repeat("x", 3*MaxLine):                          "longer than 1048576 bytes",
	} {
		got, errs := parseAll(strings.NewReader(designLine + "\n" + bad + "\n" + designLine + "\n"))
		if len(got) != 2 || got[0] != designEntry || got[1] != designEntry || len(errs) != 1 {
			t.Errorf("%.60q: %d entries, errors %.500v", bad, len(got), errs)
			continue
		}
		var pe *ParseError
		if !errors.As(errs[0], &pe) || pe.Line != 2 || !strings.Contains(pe.Error(), "read .errors again") || len(pe.Error()) > 400 {
			t.Errorf("%.60q: error %q does not name line and remedy", bad, errs[0])
		}
		if !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%.60q: got %q, want %q in it", bad, errs[0], want)
		}
	}
}

func TestParseReadsTheLongestLineThatAppendTextMakes(t *testing.T) {
	e := designEntry
	e.File += strings.Repeat("x", MaxLine-len(designLine))
	text := e.String() + "\n"
	if len(text) != MaxLine+1 {
		t.Fatalf("line of %d bytes, want %d", len(text), MaxLine+1)
	}
	for _, r := range []io.Reader{strings.NewReader(text), strings.NewReader(text[:MaxLine]), iotest.HalfReader(strings.NewReader(text))} {
		if got, errs := parseAll(r); len(errs) > 0 || len(got) != 1 || got[0] != e {
			t.Errorf("got %d entries, errors %v", len(got), errs)
		}
	}
}

func TestParseYieldsReadErrorLastAndNoPieceOfALine(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader(designLine+"\n"+designLine+"7"), iotest.ErrReader(broken))
	got, errs := parseAll(r)
	if len(got) != 1 || len(errs) != 1 || !errors.Is(errs[0], broken) || !strings.Contains(errs[0].Error(), "line 2") {
		t.Errorf("got %v, errors %v", got, errs)
	}
}

func TestParseStopsWhenAsked(t *testing.T) {
	for range Parse(strings.NewReader(designLine + "\nbad\n" + designLine)) {
		break
	}
	n := 0
	for _, err := range Parse(strings.NewReader("bad\nbad\n" + strings.Repeat("x", MaxLine+1))) {
		if n++; err == nil || n > 1 {
			t.Fatal(n, err)
		}
		break
	}
}

func TestErrnoNamesGoBothWays(t *testing.T) {
	for e := range syscall.Errno(4096) {
		if got, ok := parseErrno(string(appendErrno(nil, e))); !ok || got != e {
			t.Errorf("%d became %d, %v", e, got, ok)
		}
	}
	if e, ok := parseErrno("EWOULDBLOCK"); !ok || e != syscall.EAGAIN {
		t.Error("EWOULDBLOCK is not EAGAIN")
	}
}

func TestStateNamesGoBothWays(t *testing.T) {
	open := map[State]bool{Pending: true, Failed: true, Conflict: true}
	for s := range nStates {
		if got, err := ParseState(s.String()); err != nil || got != s || s.Open() != open[s] {
			t.Errorf("%v: got %v, %v, open %v", s, got, err, s.Open())
		}
	}
	if _, err := ParseState(nStates.String()); err == nil {
		t.Error("a number is not a state")
	}
}

func TestClipKeepsRunesWholeAndSaysSo(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("ä", 600), strings.Repeat("\x80", 4000), strings.Repeat("x", 1025)} {
		got := clipString(s, maxMsg)
		switch {
		case len(s) <= maxMsg && got != s, len(got) > maxMsg:
			t.Errorf("%.20q...: %d bytes of %d", s, len(got), len(s))
		case len(s) > maxMsg && (!strings.HasSuffix(got, "...") || !strings.HasPrefix(s, got[:len(got)-3])):
			t.Errorf("%.20q...: got ...%q", s, got[len(got)-10:])
		case strings.Contains(got, "\xc3."):
			t.Errorf("%.20q...: rune split", s)
		}
	}
}

// FuzzParse: whatever is read, errors name lines in order and entries survive
// being written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(designLine + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		last := 0
		for e, err := range Parse(bytes.NewReader(text)) {
			if err != nil {
				var pe *ParseError
				if !errors.As(err, &pe) || pe.Line <= last || e != (Entry{}) {
					t.Fatalf("after line %d: %v, %v", last, e, err)
				}
				last = pe.Line
				continue
			}
			line, err := e.AppendText(nil)
			if err != nil {
				if len(text) < MaxLine/16 {
					t.Fatal(err)
				}
				continue // quoting made it too long
			}
			if bytes.ContainsAny(line, "\n\r\x00") {
				t.Fatalf("control characters in %q", line)
			}
			again, errs := parseAll(bytes.NewReader(line))
			if len(errs) > 0 || len(again) != 1 || again[0] != e {
				t.Fatalf("%q gave %#v, errors %v, not %#v", line, again, errs, e)
			}
		}
	})
}

func TestFuzzCorpusIsCommitted(t *testing.T) {
	seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", "FuzzParse", "*"))
	if err != nil || len(seeds) < 4 {
		t.Errorf("%d seeds, %v", len(seeds), err)
	}
	for _, s := range seeds {
		if b, err := os.ReadFile(s); err != nil || !bytes.HasPrefix(b, []byte("go test fuzz v1\n")) {
			t.Errorf("%s: %v", s, err)
		}
	}
}
