package p9client

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestReconnectMakesAnotherConnection(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, "hello")
	x := s.dial(Options{})
	check(t, x.Reconnect())
	eventually(t, "the next connection", func() bool { l := x.Link(); return l.Up && l.Generation == 2 })
	f := open(t, x, syscall.O_RDONLY, "f")
	if _, err := f.GetAttr(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReconnectLeavesAnInheritedDescriptorAlone(t *testing.T) {
	s := startServer(t)
	x, err := Dial(t.Context(), Address{"fd", "0"}, Options{Dial: func(ctx context.Context, _ Address) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.path)
	}})
	check(t, err)
	defer x.Close()
	if err := x.Reconnect(); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Error(err)
	}
	if _, err := x.Root().GetAttr(t.Context()); err != nil || x.Link().Generation != 1 {
		t.Errorf("the connection: %v, %+v", err, x.Link())
	}
}
