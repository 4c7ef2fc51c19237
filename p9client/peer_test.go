package p9client

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// frame makes a message as a server sends it.
func frame(typ uint8, tag uint16, body ...byte) []byte {
	b := make([]byte, headerLen, headerLen+len(body))
	binary.LittleEndian.PutUint32(b, uint32(headerLen+len(body)))
	b[4] = typ
	binary.LittleEndian.PutUint16(b[5:], tag)
	return append(b, body...)
}

// A msg is a message as the server gets it.
type msg struct {
	typ  uint8
	tag  uint16
	body []byte
}

func readMsg(nc io.Reader) (msg, error) {
	h := make([]byte, headerLen)
	if _, err := io.ReadFull(nc, h); err != nil {
		return msg{}, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(h)-headerLen)
	_, err := io.ReadFull(nc, b)
	return msg{h[4], binary.LittleEndian.Uint16(h[5:]), b}, err
}

// recv is the server's read in tests of one connection.
func recv(t *testing.T, nc net.Conn) msg {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(3 * time.Second))
	m, err := readMsg(nc)
	if err != nil {
		t.Errorf("server read: %v", err)
	}
	return m
}

// rig makes a connection whose server is the test.
func rig(t *testing.T) (*conn, net.Conn) {
	a, b := net.Pipe()
	return rigOn(t, a, b)
}

func rigOn(t *testing.T, a, b net.Conn) (*conn, net.Conn) {
	c := newConn(a, 1, 65536, 30*time.Second)
	c.say = dotL{}
	t.Cleanup(func() { b.Close(); c.close(io.EOF) })
	return c, b
}

func getattr(ctx context.Context, c *conn) error {
	cl := newCall(tgetattr)
	cl.enc.u32(1)
	cl.enc.u64(attrAll)
	_, err := c.rpc(ctx, cl, nil)
	return err
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("not in 3 s: %s", what)
}

// within waits for the end of a call.
func within(t *testing.T, d time.Duration, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		t.Fatalf("still waiting after %v", d)
		return nil
	}
}
