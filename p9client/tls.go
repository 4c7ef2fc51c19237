package p9client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// A tlsConn is a TLS connection that is closed without a word to the server: the
// alert that crypto/tls sends may have to wait for a server that reads nothing.
type tlsConn struct{ *tls.Conn }

// dialTLS connects to host:port and shakes hands. Without a configuration the
// system's authorities are trusted and the server's name is host.
func dialTLS(ctx context.Context, addr string, config *tls.Config) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	tc := tls.Client(nc, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("TLS handshake: %w", context.Cause(ctx))
		}
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return &tlsConn{tc}, nil
}

func (c *tlsConn) Close() error { return c.NetConn().Close() }

// SetLinger is that of the TCP connection below.
func (c *tlsConn) SetLinger(seconds int) error {
	if l, ok := c.NetConn().(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(seconds)
	}
	return nil
}

// explain says what to do about a server that sends an alert after the
// handshake: in TLS 1.3 it judges our certificate only then.
func (c *tlsConn) explain(err error) error {
	if remote(err) {
		return fmt.Errorf("%s (%w)", tlsRemedy(err), err)
	}
	return err
}

// remote tells whether err is an alert from the server.
func remote(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// tlsRemedy says what to do about a TLS connection that failed.
func tlsRemedy(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "give the authority that signed the server's certificate with --tls-ca"
	case errors.As(err, &name):
		return "give the name in the server's certificate with --tls-name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or set this machine's clock"
	case errors.As(err, &invalid):
		return "the server needs another certificate"
	case errors.As(err, &record):
		return "the server does not speak TLS there; use tcp!"
	case remote(err) && strings.Contains(err.Error(), "certificate"):
		return "the server wants a certificate that it trusts: --tls-cert and --tls-key"
	case remote(err):
		return "the server refuses the TLS session; it may want a certificate (--tls-cert), or another version"
	}
	return "is a 9P server that speaks TLS listening there?"
}
