package interop

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"

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
}

// A cell is about one verb on one server.
type cell struct {
	passed, failed int
	refused        map[syscall.Errno]bool // as declared
	met            map[string]bool        // deviations, as declared
}

func (m *matrix) add(s *server, c testCase, ok bool, met []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[string]*cell{}
	}
	for i, v := range strings.Fields(c.verbs) {
		key := s.name + s.dialect + v
		if m.cells[key] == nil {
			m.cells[key] = &cell{refused: map[syscall.Errno]bool{}, met: map[string]bool{}}
		}
		x := m.cells[key]
		for _, what := range met {
			x.met[what] = true
		}
		errno, lacking := s.lacks[c.needs]
		switch {
		case !ok:
			x.failed++
		case lacking && i == 0:
			x.refused[errno] = true
		case lacking:
		default:
			x.passed++
		}
	}
}

// notes are the footnotes of the matrix.
type notes []string

// mark returns the number of a note, in brackets.
func (n *notes) mark(note string) string {
	if !slices.Contains(*n, note) {
		*n = append(*n, note)
	}
	return fmt.Sprintf(" [%d]", 1+slices.Index(*n, note))
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
refused with that errno and without any effect. "not judged": the server lets pass what others refuse. Numbers are notes: what the
server does otherwise than the manual or Linux, or what p9client does to have the verb's effect. What a
server does against the manual is in [SERVERS.md](SERVERS.md).

`)
	var notes notes
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
			x := m.cells[s.name+s.dialect+v]
			text := x.String()
			if x == nil {
				return text
			}
			for _, what := range slices.Sorted(maps.Keys(x.met)) {
				text += notes.mark(fmt.Sprintf("%s: %s", what, s.deviates[what]))
			}
			if does := s.instead[v]; does != "" {
				text += notes.mark("p9client: " + does)
			}
			return text
		})
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	for i := range servers {
		writeDeclared(&b, &servers[i])
	}
	return b.Bytes()
}

// writeDeclared writes what a server lacks, and where its errno is not the one of Linux.
func writeDeclared(b *bytes.Buffer, s *server) {
	fmt.Fprintf(b, "\n## %s, %s\n\n", s.name, s.dialect)
	for _, c := range slices.Sorted(maps.Keys(s.lacks)) {
		if s.lacks[c] == notJudged {
			fmt.Fprintf(b, "- lacks %s: lets everything pass\n", c)
		} else {
			fmt.Fprintf(b, "- lacks %s: %s\n", c, unix.ErrnoName(s.lacks[c]))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(s.answers)) {
		answer := unix.ErrnoName(s.answers[what])
		if s.answers[what] == 0 {
			answer = "success"
		}
		fmt.Fprintf(b, "- %s: %s\n", what, answer)
	}
}
