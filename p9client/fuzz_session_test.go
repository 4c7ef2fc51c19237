package p9client

import (
	"encoding/binary"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A twister is a connection whose server's frames are twisted, two bytes of the
// plan for each: what is done, and where.
type twister struct {
	net.Conn
	plan *twists
}

type twists struct {
	mu sync.Mutex // guards b, which is shared by the connections
	b  []byte
}

func (p *twists) next() (what, where byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.b) < 2 {
		return 0, 0
	}
	what, where = p.b[0], p.b[1]
	p.b = p.b[2:]
	return what, where
}

func (c *twister) Write(b []byte) (int, error) {
	what, where := c.plan.next()
	n := len(b)
	b = append([]byte(nil), b...)
	at := int(where) % n
	switch what % 16 {
	case 8:
		b[at] ^= 0xff
	case 9:
		b[at]++
	case 10: // ends early, and says so
		b = b[:max(at, headerLen)]
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
	case 11: // ends early, in the middle of a frame
		c.Conn.Write(b[:at])
		c.Close()
		return n, nil
	case 12:
		b = append(b, b...)
	case 13: // is longer, and says so
		b = append(b, make([]byte, where)...)
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
	case 14:
		b = frame(rlerror, binary.LittleEndian.Uint16(b[5:]), le32(uint32(where))...)
	case 15:
		b[4] = where
	}
	_, err := c.Conn.Write(b)
	return n, err
}

// Whatever a server does to the replies of a session, each call ends; and when
// the server is right again, so is the session.
func FuzzSession(f *testing.F) {
	for _, plan := range []string{"", "\x0b\x03", "\x00\x00\x00\x00\x08\x04", "\x00\x00\x00\x00\x0a\x09\x0c\x00\x0e\x02\x0f\x6f"} {
		f.Add(uint8(0), []byte(plan))
		f.Add(uint8(1), []byte(plan))
	}
	f.Fuzz(func(t *testing.T, say uint8, plan []byte) {
		s := startServer(t)
		s.lenient = true
		s.addHostileTree()
		dialect := []string{DotL, Plain, DotU}[say%3]
		s.speak(dialect)
		x := s.dial(Options{
			Dialect: dialect, Msize: hostileMsize, BackoffMax: 2 * time.Millisecond, DialTimeout: 5 * time.Second,
			RequestTimeout: 50 * time.Millisecond, HoldTimeout: 300 * time.Millisecond,
		})
		p := &twists{b: plan[:min(len(plan), 200)]}
		s.setWrap(func(nc net.Conn) net.Conn { return &twister{nc, p} })
		s.cut()
		done := make(chan error, 1)
		go func() {
			for _, verb := range fuzzVerbs {
				if l, ok := verb(t.Context(), x.Root()).(lieError); ok {
					t.Error(l)
				}
			}
			if f, err := x.Root().Walk(t.Context(), "f"); err == nil {
				if f.Open(t.Context(), syscall.O_RDWR) == nil {
					readAt(t.Context(), f)
					writeAt(t.Context(), f)
				}
				f.Clunk()
			}
			done <- nil
		}()
		within(t, 60*time.Second, done)
		s.setWrap(nil)
		s.cut()
		eventually(t, "the session is right again", func() bool {
			g, err := x.Root().Walk(t.Context(), "l")
			if err != nil {
				return false
			}
			defer g.Clunk()
			_, err = g.GetAttr(t.Context())
			return err == nil
		})
	})
}
