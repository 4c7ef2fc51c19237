package p9client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/vsock"
)

// A dialer makes the connections of a session: to the first of its addresses
// that answers. The session uses it from one goroutine at a time.
type dialer struct {
	addrs []Address
	spent map[Address]bool // inherited descriptors that were used
}

func newDialer(first Address, fallback []Address) *dialer {
	return &dialer{addrs: append([]Address{first}, fallback...), spent: map[Address]bool{}}
}

// left returns the addresses that can be dialed, in order.
func (d *dialer) left() (l []Address) {
	for _, a := range d.addrs {
		if !d.spent[a] {
			l = append(l, a)
		}
	}
	return l
}

// exhausted returns why there can be no further connection, or nil.
func (d *dialer) exhausted() error {
	if len(d.left()) > 0 {
		return nil
	}
	return fmt.Errorf("%v is an inherited descriptor, which cannot be dialed again", d.addrs[0])
}

// dial connects to a. The error says what to do.
func (d *dialer) dial(ctx context.Context, a Address, o Options) (net.Conn, error) {
	if o.Dial != nil {
		nc, err := o.Dial(ctx, a)
		if err != nil {
			return nil, fmt.Errorf("cannot connect to %v: %w", a, err)
		}
		if tc, ok := nc.(*tls.Conn); ok {
			return &tlsConn{tc}, nil
		}
		return nc, nil
	}
	if a.Network == "fd" {
		d.spent[a] = true
	}
	return a.dial(ctx, o)
}

// Dial connects to the address as a session does, but speaks no 9P. Of o it
// looks at TLS, which tls! needs, and Log. A connection to an exec! address has
// to be closed to end the command.
func (a Address) Dial(ctx context.Context, o Options) (net.Conn, error) {
	return a.dial(ctx, o.withDefaults())
}

func (a Address) dial(ctx context.Context, o Options) (nc net.Conn, err error) {
	remedy := "is a 9P server listening there?"
	switch a.Network {
	case "tcp", "unix":
		var d net.Dialer // which switches TCP's keep-alive and no-delay on
		nc, err = d.DialContext(ctx, a.Network, a.Addr)
	case "tls":
		nc, err = dialTLS(ctx, a.Addr, o.TLS)
		remedy = tlsRemedy(err)
	case "vsock":
		nc, err = dialVsock(ctx, a.Addr)
		remedy = vsockRemedy(err)
	case "fd":
		nc, err = dialFD(a.Addr)
		remedy = "it must be inherited from the program that starts this one"
	case "exec":
		nc, err = dialExec(a.Addr, o.Log)
		remedy = "is the command installed, and in PATH?"
	default:
		err = fmt.Errorf("unknown network %q", a.Network)
		remedy = forms
	}
	if err != nil { // and nc may be a nil pointer
		return nil, fmt.Errorf("cannot connect to %v: %w; %s", a, err, remedy)
	}
	return nc, nil
}

func dialVsock(ctx context.Context, addr string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cid, err := strconv.ParseUint(host, 10, 32)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 32)
	if err != nil {
		return nil, err
	}
	return vsock.DialContext(ctx, uint32(cid), uint32(port), nil)
}

func vsockRemedy(err error) string {
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		return "has this machine vsock (modprobe vmw_vsock_virtio_transport in a guest, vhost_vsock in its host)?"
	}
	return "is the virtual machine running, and a 9P server listening there?"
}

// share returns a context with the part of the time that is left which one of n
// addresses may take.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}

// oneLine makes one error of those of several addresses; each names its own.
func oneLine(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	verbs := slices.Repeat([]string{"%w"}, len(errs))
	args := make([]any, len(errs))
	for i, err := range errs {
		args[i] = err
	}
	return fmt.Errorf(strings.Join(verbs, "; "), args...)
}

// rawConn returns what reads and writes the socket itself, if nc is one and no
// more: a type that merely has a socket inside may do something else to the bytes.
func rawConn(nc net.Conn) syscall.RawConn {
	if f, ok := nc.(*fileConn); ok && f.r != f.w {
		return nil // two pipes
	}
	switch nc := nc.(type) {
	case *net.TCPConn, *net.UnixConn, *vsock.Conn, *execConn, *fileConn:
		if raw, err := nc.(syscall.Conn).SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// hangUp closes nc and waits until nothing of it is left.
func hangUp(nc net.Conn) {
	nc.Close()
	if j, ok := nc.(interface{ join() }); ok {
		j.join()
	}
}

// explain adds to the error that ended nc what its transport knows about it. nc
// must have been hung up.
func explain(nc net.Conn, err error) error {
	if x, ok := nc.(interface{ explain(error) error }); ok && err != nil {
		return x.explain(err)
	}
	return err
}
