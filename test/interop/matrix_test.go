package interop

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// matrixVerbs are the rows of the matrix, by the names of 9P2000.L.
var matrixVerbs = []string{
	"Tversion", "Tattach", "Twalk", "Tlopen", "Tlcreate", "Tread", "Twrite", "Tfsync", "Tclunk", "Tflush", "Tgetattr", "Tsetattr", "Tstatfs",
	"Treaddir", "Tmkdir", "Tunlinkat", "Trenameat", "Tsymlink", "Treadlink", "Tlink", "Tmknod", "Txattrwalk", "Txattrcreate", "Tlock", "Tgetlock",
}

// A matrix collects what the cases found.
type matrix struct {
	mu    sync.Mutex // guards what follows
	cells map[string]*cell
	spent map[string]time.Duration // by server
}

// A cell is about one verb on one server.
type cell struct {
	passed, failed int
	refused        map[syscall.Errno]bool // as declared
}

func (m *matrix) add(s *server, c testCase, ok bool, spent time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells, m.spent = map[string]*cell{}, map[string]time.Duration{}
	}
	m.spent[s.name+s.dialect] += spent
	for _, v := range strings.Fields(c.verbs) {
		key := s.name + s.dialect + v
		if m.cells[key] == nil {
			m.cells[key] = &cell{refused: map[syscall.Errno]bool{}}
		}
		x := m.cells[key]
		errno, lacking := s.lacks[c.needs]
		switch {
		case !ok:
			x.failed++
		case lacking:
			x.refused[errno] = true
		default:
			x.passed++
		}
	}
}

func (x *cell) String() string {
	if x == nil {
		return "-"
	}
	var words []string
	if x.passed > 0 {
		words = append(words, "ok")
	}
	if x.failed > 0 {
		words = append(words, "**fails**")
	}
	for _, errno := range slices.Sorted(maps.Keys(x.refused)) {
		if errno == notJudged {
			words = append(words, "not judged")
		} else {
			words = append(words, unix.ErrnoName(errno))
		}
	}
	return strings.Join(words, ", ")
}

// markdown is the whole of docs/INTEROP.md.
func (m *matrix) markdown() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b bytes.Buffer
	b.WriteString(`# What works with which server

Written by the tests, do not edit:

    INTEROP_MATRIX=$PWD/docs/INTEROP.md go test -count=1 -run TestInterop ./test/interop

"ok": every case about the verb passed. An errno: some of what the verb can do is lacking there, by the server or its dialect, and is
refused with that errno and without any effect. "not judged": the server lets pass what others refuse. What a
server does against the manual is in [SERVERS.md](SERVERS.md).

`)
	row := func(first string, of func(s *server) string) {
		fmt.Fprintf(&b, "| %s |", first)
		for i := range servers {
			fmt.Fprintf(&b, " %s |", of(&servers[i]))
		}
		b.WriteString("\n")
	}
	row("", func(s *server) string { return s.name + " " + s.dialect })
	row("---", func(*server) string { return "---" })
	for _, v := range matrixVerbs {
		row(v, func(s *server) string {
			return m.cells[s.name+s.dialect+v].String()
		})
	}
	for i := range servers {
		writeDeclared(&b, &servers[i])
	}
	return b.Bytes()
}

// writeDeclared writes what is declared about a server.
func writeDeclared(b *bytes.Buffer, s *server) {
	fmt.Fprintf(b, "\n## %s, %s\n\n", s.name, s.dialect)
	for _, c := range slices.Sorted(maps.Keys(s.lacks)) {
		if s.lacks[c] == notJudged {
			fmt.Fprintf(b, "- lacks %s: lets everything pass\n", c)
		} else {
			fmt.Fprintf(b, "- lacks %s: %s\n", c, unix.ErrnoName(s.lacks[c]))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(s.deviates)) {
		fmt.Fprintf(b, "- %s: %s\n", what, s.deviates[what])
	}
	for _, what := range slices.Sorted(maps.Keys(s.answers)) {
		answer := unix.ErrnoName(s.answers[what])
		if s.answers[what] == 0 {
			answer = "success"
		}
		fmt.Fprintf(b, "- %s: %s\n", what, answer)
	}
}
