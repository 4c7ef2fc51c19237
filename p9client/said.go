package p9client

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Bounds on what a command may make us log.
const (
	saidLine   = 1024 // bytes of a line
	saidLines  = 20   // lines a second
	saidMemory = 512  // bytes of its last words
)

// A saidLog takes what a command says on stderr, line by line, to the log, and
// remembers its last words.
type saidLog struct {
	log     *slog.Logger
	command string

	mu      sync.Mutex // guards what follows
	line    []byte     // the unfinished one, cut at saidLine
	last    []byte     // the end of everything
	second  time.Time  // in which lines were logged
	lines   int
	dropped int // lines that were not logged
}

// Write takes a piece of stderr. It never fails.
func (s *saidLog) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last, p[max(0, len(p)-saidMemory):]...)
	s.last = append(s.last[:0], s.last[max(0, len(s.last)-saidMemory):]...)
	for rest := p; ; {
		piece, after, whole := bytes.Cut(rest, []byte("\n"))
		s.line = append(s.line, piece[:min(len(piece), saidLine-len(s.line))]...)
		if !whole {
			return len(p), nil
		}
		s.tellLocked(time.Now())
		rest = after
	}
}

// end tells the last line, if nothing ended it.
func (s *saidLog) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.line) > 0 {
		s.tellLocked(time.Now())
	}
}

// tellLocked logs the line, unless there were too many.
func (s *saidLog) tellLocked(now time.Time) {
	line := strings.TrimRight(string(s.line), "\r")
	s.line = s.line[:0]
	if now.Sub(s.second) >= time.Second {
		s.second, s.lines = now, 0
	}
	if s.lines++; s.lines > saidLines {
		s.dropped++
		return
	}
	args := []any{"command", s.command, "stderr", line}
	if s.dropped > 0 {
		args = append(args, "dropped", s.dropped)
		s.dropped = 0
	}
	s.log.Info("said", args...)
}

// lastWords returns the last lines, of which the first may lack its beginning.
func (s *saidLog) lastWords() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(string(s.last))
}
