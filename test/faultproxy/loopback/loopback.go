// Package loopback keeps TCP ports of 127.0.0.1, so that a server can go away and come back on
// the same port without anybody else getting it meanwhile.
package loopback

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// Port is a port of 127.0.0.1 that stays ours until Close: a socket is bound to it and never
// listens. A server that sets SO_REUSEADDR (Go's do, diod does) can listen on it as often as it
// likes; while none does, connecting is refused. The kernel gives the port to nobody who asks for
// any port.
type Port struct {
	Number int
	fd     int
	once   sync.Once
}

// Reserve takes a free port. Errors are the system's: no more descriptors or ports.
func Reserve() (*Port, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &Port{fd: fd}
	if err := p.bind(); err != nil {
		p.Close()
		return nil, fmt.Errorf("reserve a port of 127.0.0.1: %w", err)
	}
	return p, nil
}

func (p *Port) bind() error {
	if err := syscall.SetsockoptInt(p.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := syscall.Bind(p.fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	sa, err := syscall.Getsockname(p.fd)
	if err != nil {
		return err
	}
	in, ok := sa.(*syscall.SockaddrInet4)
	if !ok {
		return fmt.Errorf("address of family %T", sa)
	}
	p.Number = in.Port
	return nil
}

// Listen listens on the port.
func (p *Port) Listen() (net.Listener, error) { return net.Listen("tcp4", p.String()) }

// String is host:port.
func (p *Port) String() string { return fmt.Sprintf("127.0.0.1:%d", p.Number) }

// Close gives the port back. It may be called again.
func (p *Port) Close() { p.once.Do(func() { syscall.Close(p.fd) }) }
