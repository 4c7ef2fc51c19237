package p9client

// A kind of request. Each has tags of its own, so that none waits for a tag
// behind many of another kind.
type kind uint8

const (
	other   kind = iota // neither of these: mostly small, and somebody waits for it
	reading             // Tread
	writing             // Twrite
	kinds
)

const (
	maxCalls = 512 // requests in flight on a connection; Tflushes do not count

	// maxBytes is how much data the Treads in flight ask for, and how much the
	// Twrites in flight carry; a single one may be larger. What the server has been
	// asked for already is ahead of every request that comes later, so it has to
	// have an end. One round trip of a TCP connection carries less than this.
	maxBytes = 32 << 20
)

// otherTags is how many requests that are neither Tread nor Twrite may be in flight.
const otherTags = 128

// quotas are the tags of each kind.
var quotas = [kinds]int{other: otherTags, reading: 256, writing: 128}

func kindOf(typ uint8) kind {
	switch typ {
	case tread:
		return reading
	case twrite:
		return writing
	}
	return other
}

// A gate gives out tags: to each kind of request at most its quota, for at most
// maxBytes of data, to those who came first. It does no locking.
type gate struct {
	free  [maxCalls]uint16 // a ring, the longest unused first
	first int
	n     int
	in    [kinds]struct {
		calls, bytes int
		waiting      line
	}
}

func (g *gate) init() {
	for tag := range uint16(maxCalls) {
		g.free[tag] = tag
	}
	g.n = maxCalls
}

// enter gives cl a tag, or puts it in line and reports false. Then cl.turn is told
// when it has one.
func (g *gate) enter(cl *call) bool {
	k := &g.in[cl.kind]
	if k.waiting.first != nil || !g.fits(cl) {
		k.waiting.push(cl)
		return false
	}
	g.admit(cl)
	return true
}

func (g *gate) fits(cl *call) bool {
	k := &g.in[cl.kind]
	return k.calls < quotas[cl.kind] && (k.bytes == 0 || k.bytes+cl.bytes <= maxBytes)
}

func (g *gate) admit(cl *call) {
	k := &g.in[cl.kind]
	k.calls++
	k.bytes += cl.bytes
	cl.tag = g.free[g.first]
	g.first = (g.first + 1) % maxCalls
	g.n--
}

// leave takes cl out of the line. It reports false if cl has a tag already.
func (g *gate) leave(cl *call) bool {
	k := &g.in[cl.kind]
	if !k.waiting.remove(cl) {
		return false
	}
	g.next(cl.kind) // cl may have been the one that did not fit
	return true
}

// exit takes a tag back, that of a call of that kind with so many bytes.
func (g *gate) exit(tag uint16, of kind, bytes int) {
	g.free[(g.first+g.n)%maxCalls] = tag
	g.n++
	g.in[of].calls--
	g.in[of].bytes -= bytes
	g.next(of)
}

// next lets in those for whom there is room now.
func (g *gate) next(of kind) {
	for l := &g.in[of].waiting; l.first != nil && g.fits(l.first); {
		cl := l.pop()
		g.admit(cl)
		cl.turn <- struct{}{}
	}
}

// A line is a queue of calls, each in one line at most.
type line struct{ first, last *call }

func (l *line) push(cl *call) {
	cl.before, cl.behind = l.last, nil
	if l.last == nil {
		l.first = cl
	} else {
		l.last.behind = cl
	}
	l.last = cl
	cl.in = l
}

// pop returns the first call, or nil.
func (l *line) pop() *call {
	cl := l.first
	if cl != nil {
		l.remove(cl)
	}
	return cl
}

// remove reports whether cl was in the line.
func (l *line) remove(cl *call) bool {
	if cl.in != l {
		return false
	}
	if cl.before == nil {
		l.first = cl.behind
	} else {
		cl.before.behind = cl.behind
	}
	if cl.behind == nil {
		l.last = cl.before
	} else {
		cl.behind.before = cl.before
	}
	cl.in, cl.before, cl.behind = nil, nil, nil
	return true
}
