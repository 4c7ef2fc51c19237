package faultproxy

import (
	"fmt"
	"sync"
	"time"
)

const journalLines = 1000 // the newest are kept

// journal is the bounded log of what the proxy did.
type journal struct {
	started time.Time
	mu      sync.Mutex // guards lines, lost
	lines   []string   // a ring once it is full
	lost    int
}

func (j *journal) printf(format string, args ...any) {
	line := fmt.Sprintf("%9.3fms ", float64(time.Since(j.started))/1e6) + fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) < journalLines {
		j.lines = append(j.lines, line)
		return
	}
	j.lines[j.lost%journalLines] = line
	j.lost++
}

// Log returns what the proxy did, oldest first: connections, rules that came, fired and went.
// It keeps the newest thousand lines and says how many came before. Messages that
// merely passed are not in it; Count has them.
func (p *Proxy) Log() []string {
	j := &p.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost == 0 {
		return append([]string(nil), j.lines...)
	}
	at := j.lost % journalLines
	out := []string{fmt.Sprintf("(%d older lines are gone)", j.lost)}
	return append(append(out, j.lines[at:]...), j.lines[:at]...)
}
