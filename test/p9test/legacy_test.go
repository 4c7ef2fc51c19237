package p9test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// versionAnswer asks a server for a dialect and returns what it answers.
func versionAnswer(s *Server, dialect string, msize uint32) (string, uint32, error) {
	c, err := net.Dial(s.Network(), s.Addr())
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	le := binary.LittleEndian
	m := le.AppendUint32([]byte{0, 0, 0, 0, 100, 0xff, 0xff}, msize)
	m = append(le.AppendUint16(m, uint16(len(dialect))), dialect...)
	le.PutUint32(m, uint32(len(m)))
	if _, err := c.Write(m); err != nil {
		return "", 0, err
	}
	head := make([]byte, 13)
	if _, err := io.ReadFull(c, head); err != nil {
		return "", 0, err
	}
	if head[4] != 101 {
		return "", 0, fmt.Errorf("reply of type %d", head[4])
	}
	answer := make([]byte, le.Uint16(head[11:]))
	_, err = io.ReadFull(c, answer)
	return string(answer), le.Uint32(head[7:]), err
}

func TestLegacyServersSpeakTheirDialectOnly(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		opts       []Option
		asked, got string
		msize      uint32
	}{
		{Legacy, nil, "9P2000", "9P2000", 8216},
		{Legacy, nil, "9P2000.L", "9P2000", 8216},
		{Legacy, []Option{OverTCP()}, "9P2000.u", "9P2000", 8216},
		{Legacy128, nil, "9P2000", "9P2000", 131096},
		{LegacyU, nil, "9P2000.u", "9P2000.u", 8216},
		{LegacyU, []Option{ServeFlags("--msize", "131096")}, "9P2000.L", "9P2000", 131096},
	} {
		s := StartServer(t, t.TempDir(), append(c.opts, WithServer(c.kind))...)
		if got, msize, err := versionAnswer(s, c.asked, 1<<20); got != c.got || msize != c.msize || err != nil {
			t.Errorf("%v asked for %s: %q, msize %d, %v", c.kind, c.asked, got, msize, err)
		}
	}
}

func TestLegacyServerComesBackOnItsAddress(t *testing.T) {
	t.Run("unix", func(t *testing.T) { testServer(t, WithServer(Legacy)) })
	t.Run("tcp", func(t *testing.T) { testServer(t, WithServer(LegacyU), OverTCP()) })
}
