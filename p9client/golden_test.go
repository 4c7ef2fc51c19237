package p9client

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// goldens are the frames of a dialect, by name: the message's, and after a dot
// what is special about it.
func goldens(t testing.TB, dialect string) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "golden", dialect+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]byte{}
	synopsis := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "size[4] "):
			synopsis = line
		default:
			name, fields, _ := strings.Cut(line, " ")
			b, err := golden(synopsis, name, fields)
			if err != nil || all[name] != nil {
				t.Fatalf("%s:%d: %s: %v", f.Name(), n, name, err)
			}
			all[name] = b
		}
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%d frames: %v", len(all), err)
	}
	return all
}

// golden puts a frame together and holds it against the manual's synopsis: the
// fields' names, order and widths, and the size.
func golden(synopsis, name, fields string) ([]byte, error) {
	message, _, _ := strings.Cut(name, ".")
	want := strings.Fields(strings.Replace(synopsis, " "+message+" ", " type[1] ", 1))
	var frame []byte
	for _, field := range strings.Fields(fields) {
		key, digits, _ := strings.Cut(field, "=")
		b, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
		if err != nil {
			return nil, err
		}
		if len(want) > 0 { // nwname*(wname[s]) goes for any number of fields
			if _, many, ok := strings.Cut(want[0], "*("); ok {
				if many = strings.TrimSuffix(many, ")"); strings.HasPrefix(many, key+"[") {
					want = append([]string{many}, want...)
				} else {
					want = want[1:]
				}
			}
		}
		if len(want) == 0 {
			return nil, fmt.Errorf("%s is too much", key)
		}
		if err := fits(want[0], key, b); err != nil {
			return nil, err
		}
		want = want[1:]
		frame = append(frame, b...)
	}
	if len(want) > 0 && !strings.Contains(want[0], "*(") {
		return nil, fmt.Errorf("%s is missing", want[0])
	}
	if n := binary.LittleEndian.Uint32(frame); int(n) != len(frame) {
		return nil, fmt.Errorf("size %#x, it has %#x bytes", n, len(frame))
	}
	return frame, nil
}

// fits holds a field against its place in a synopsis, as fid[4] or wname[s].
func fits(place, key string, b []byte) error {
	name, width, _ := strings.Cut(strings.TrimSuffix(place, "]"), "[")
	if name != key {
		return fmt.Errorf("%s, want %s", key, place)
	}
	n, err := strconv.Atoi(width)
	switch {
	case width == "count":
		return nil // data
	case err != nil && len(b) >= 2: // s or n
		n = 2 + int(binary.LittleEndian.Uint16(b))
	case err != nil:
		n = 2
	}
	if len(b) != n {
		return fmt.Errorf("%s has %d bytes, want %d", key, len(b), n)
	}
	return nil
}

// The frames that tests compare with are what the manuals say.
func TestGoldensAreWellFormed(t *testing.T) {
	for dialect, n := range map[string]int{"9P2000.L": 40, "9P2000": 27, "9P2000.u": 9} {
		if l := goldens(t, dialect); len(l) < n {
			t.Errorf("%s: %d frames, want at least %d", dialect, len(l), n)
		}
	}
	const walk = "size[4] Twalk tag[2] fid[4] newfid[4] nwname[2] nwname*(wname[s])"
	for _, bad := range []string{
		"size=19000000 type=6e tag=0000 fid=02000000 newfid=03000000 nwname=0200 wname=0200:61 wname=0300:626363",
		"size=19000000 type=6e tag=0000 fid=02000000 newfid=03000000 nwname=0200 wname=0100:61 name=0300:626363",
		"size=19000000 type=6e tag=0000 newfid=02000000 fid=03000000 nwname=0200 wname=0100:61 wname=0300:626363",
		"size=18000000 type=6e tag=0000 fid=02000000 newfid=03000000 nwname=0200 wname=0100:61 wname=0300:626363",
		"size=0f000000 type=6e tag=0000 fid=02000000 newfid=03000000",
	} {
		if _, err := golden(walk, "Twalk", bad); err == nil {
			t.Errorf("%s is taken for a Twalk", bad)
		}
	}
}
