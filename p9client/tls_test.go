package p9client

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	check(t, err)
	c, err = x509.ParseCertificate(der)
	check(t, err)
	a := &authority{cert: c, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(c)
	return a
}

// issue makes a certificate of a name or an IP address, for servers and clients.
func (a *authority) issue(t *testing.T, name string, expired bool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if expired {
		c.NotAfter = time.Now().Add(-time.Minute)
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// mustSay checks that an error is one line with all of these regular expressions.
func mustSay(t *testing.T, err error, says ...string) {
	t.Helper()
	for _, re := range append(says, `^[^\n]+$`) {
		if !regexp.MustCompile(re).MatchString(err.Error()) {
			t.Errorf("%q does not say %q", err, re)
		}
	}
}

func TestTLSVerifiesBothSides(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	good := ours.issue(t, "127.0.0.1", false)
	client := ours.issue(t, "client", false)
	for _, test := range []struct {
		name   string
		server *tls.Config // nil: no TLS
		client *tls.Config
		says   []string // nil: it works
	}{
		{"good", &tls.Config{Certificates: []tls.Certificate{good}}, &tls.Config{RootCAs: ours.pool}, nil},
		{"TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, &tls.Config{RootCAs: ours.pool}, nil},
		{"TLS 1.1", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, &tls.Config{RootCAs: ours.pool}, []string{"version"}},
		{"system's authorities", &tls.Config{Certificates: []tls.Certificate{good}}, nil, []string{"unknown authority", "--tls-ca"}},
		{"another authority", &tls.Config{Certificates: []tls.Certificate{others.issue(t, "127.0.0.1", false)}}, &tls.Config{RootCAs: ours.pool}, []string{"unknown authority", "--tls-ca"}},
		{"another name", &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "elsewhere", false)}}, &tls.Config{RootCAs: ours.pool}, []string{"127.0.0.1", "--tls-name"}},
		{"name given", &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "elsewhere", false)}}, &tls.Config{RootCAs: ours.pool, ServerName: "elsewhere"}, nil},
		{"expired", &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "127.0.0.1", true)}}, &tls.Config{RootCAs: ours.pool}, []string{"expired", "renew"}},
		{"insecure", &tls.Config{Certificates: []tls.Certificate{others.issue(t, "elsewhere", true)}}, &tls.Config{InsecureSkipVerify: true}, nil},
		{"certificate shown", &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool}, &tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{client}}, nil},
		{"certificate missing", &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool}, &tls.Config{RootCAs: ours.pool}, []string{"certificate required", "--tls-cert"}},
		{"certificate missing, TLS 1.2", &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool, MaxVersion: tls.VersionTLS12}, &tls.Config{RootCAs: ours.pool}, []string{"handshake failure", "--tls-cert"}},
		{"certificate of others", &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: others.pool}, &tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{client}}, []string{"certificate", "--tls-cert"}},
		{"no TLS", nil, &tls.Config{RootCAs: ours.pool}, []string{"TLS", "use tcp!"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			l := listenTCP(t)
			if test.server == nil {
				go answerPlain(l)
			} else {
				s.accept(tls.NewListener(l, test.server))
			}
			x, err := Dial(t.Context(), Address{"tls", l.Addr().String()}, Options{TLS: test.client, DialTimeout: patience})
			switch {
			case err == nil:
				x.Close()
				if test.says != nil {
					t.Error("it connects")
				}
			case test.says == nil:
				t.Error(err)
			default:
				mustSay(t, err, append(test.says, `tls!127\.0\.0\.1!`)...)
			}
		})
	}
}

// answerPlain answers what it does not understand in words, as many servers do.
func answerPlain(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		nc.Read(make([]byte, 1))
		io.WriteString(nc, "what do you want?\n")
		nc.Close()
	}
}

func TestTLSHandshakeIsBounded(t *testing.T) {
	t.Parallel()
	l := listenTCP(t) // whose backlog takes the connection
	done := make(chan error, 1)
	go func() {
		_, err := Dial(t.Context(), Address{"tls", l.Addr().String()}, Options{DialTimeout: 500 * time.Millisecond})
		done <- err
	}()
	err := within(t, patience, done)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	mustSay(t, err, "handshake", `tls!127\.0\.0\.1!`)
}

// tlsRig is rig through TLS over TCP.
func tlsRig(t *testing.T) (*conn, net.Conn) {
	ca := newAuthority(t)
	l := tls.NewListener(listenTCP(t), &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", false)}})
	type accepted struct {
		nc  net.Conn
		err error
	}
	ch := make(chan accepted, 1)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			err = nc.(*tls.Conn).Handshake()
		}
		ch <- accepted{nc, err}
	}()
	a, err := Address{"tls", l.Addr().String()}.Dial(t.Context(), Options{TLS: &tls.Config{RootCAs: ca.pool}})
	check(t, err)
	b := <-ch
	check(t, b.err)
	return rigOn(t, a, b.nc)
}

// crypto/tls is broken after a write that a deadline has ended.
func TestTLSLivesAfterAnInterruptedWrite(t *testing.T) {
	t.Parallel()
	c, srv := tlsRig(t)
	c.msize = 1 << 25
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	p := bytes.Repeat([]byte{7}, 24<<20)
	go func() {
		_, err := c.rpc(ctx, newCall(twrite), p)
		done <- err
	}()
	first := make([]byte, 1000)
	io.ReadFull(srv, first) // so it has begun
	go func() { done <- getattr(ctx, c) }()
	soon(t, "the other waits for the pen", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.gate.in[writing].calls == 1 && c.gate.in[other].calls == 1
	})
	cancel()
	for range 2 {
		if err := within(t, patience, done); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	clear(p)
	rest := make([]byte, headerLen+len(p)-len(first))
	srv.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(srv, rest); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rest, bytes.Repeat([]byte{7}, len(rest))) {
		t.Error("bytes were sent that the caller stored after the end of his call")
	}
	f := recv(t, srv)
	if f.typ != tflush {
		t.Fatalf("not flushed: %+v", f)
	}
	srv.Write(frame(tflush+1, f.tag))
	soon(t, "the tags are free", idle(c))
	go func() { done <- getattr(t.Context(), c) }() // and the connection lives
	srv.Write(frame(tgetattr+1, recv(t, srv).tag))
	check(t, within(t, patience, done))
}

// The reader of the connection may be interrupted: TLS goes on in the middle of a
// record.
func TestTLSLivesAfterAnInterruptedRead(t *testing.T) {
	t.Parallel()
	c, srv := tlsRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		cl := newCall(tread)
		cl.data = make([]byte, 30000)
		_, err := c.rpc(ctx, cl, nil)
		done <- err
	}()
	m := recv(t, srv)
	full := frame(tread+1, m.tag, append(le32(30000), make([]byte, 30000)...)...)
	srv.Write(full[:20000])
	cancel()
	f := recv(t, srv)
	if err := within(t, patience, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	srv.Write(full[20000:])
	srv.Write(frame(tflush+1, f.tag))
	soon(t, "the tag is free", idle(c))
	go func() { done <- getattr(t.Context(), c) }()
	srv.Write(frame(tgetattr+1, recv(t, srv).tag))
	check(t, within(t, patience, done))
}

// A TLS connection that is given up is reset, and nobody waits for a server that
// reads nothing.
func TestTLSIsResetOnLoss(t *testing.T) {
	t.Parallel()
	c, srv := tlsRig(t)
	done := make(chan error, 1)
	go func() {
		_, err := c.rpc(t.Context(), newCall(twrite), make([]byte, 24<<20))
		done <- err
	}()
	io.ReadFull(srv, make([]byte, 1000))
	closed := make(chan error, 1)
	go func() { c.close(io.EOF); closed <- nil }()
	within(t, 4*time.Second, closed) // crypto/tls would wait 5 s to say goodbye
	if err := within(t, patience, done); !isLost(err) {
		t.Error(err)
	}
	srv.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, srv)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("not reset: %v", err)
	}
}

// Closing does not wait for room in the socket of a server that reads nothing.
func TestTLSIsClosedWithoutAWord(t *testing.T) {
	t.Parallel()
	c, _ := tlsRig(t)
	raw := c.nc.(*tlsConn).NetConn()
	full := 0
	for range 1000 { // the kernel makes more room for a while
		raw.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if n, _ := raw.Write(make([]byte, 1<<20)); n > 0 {
			full = 0
		} else if full++; full == 3 {
			break
		}
	}
	if full < 3 {
		t.Fatal("the socket takes everything")
	}
	closed := make(chan error, 1)
	go func() { c.close(io.EOF); closed <- nil }()
	within(t, 4*time.Second, closed) // crypto/tls would try for 5 s
}
