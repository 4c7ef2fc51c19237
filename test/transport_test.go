package test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"p9mapfs/test/p9test"
)

// newRigAt is a rig of a mount that is reached in another way than newRig's.
func newRigAt(t *testing.T, s *p9test.Server, address string, flags ...string) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	flags = append([]string{"--retry-interval", "50ms", "--exit-timeout", "20s"}, flags...)
	m := p9test.Mount(t, "", p9test.On(s), p9test.At(address), p9test.Flags(flags...))
	return &rig{Mounted: m, Helper: p9test.StartHelper(t), t: t, ctx: ctx}
}

// durable stores through a mapping and looks for the bytes on the server.
func (r *rig) durable(f *p9test.File, name, text string) {
	r.t.Helper()
	r.ok(f.Store(r.ctx, 4096, []byte(text)))
	r.ok(f.Msync(r.ctx))
	b, err := os.ReadFile(filepath.Join(r.Dir, name))
	r.ok(err)
	if !bytes.HasPrefix(b[4096:], []byte(text)) {
		r.t.Errorf("the server has %q, not %q", b[4096:4096+len(text)], text)
	}
}

// children lists the processes that pid has started.
func children(t *testing.T, pid int) (l []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		t.Fatalf("no children files of %d: %v", pid, err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // the thread may have ended
		for _, word := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			l = append(l, n)
		}
	}
	return l
}

// A mount starts its server as a command, starts it again when it crashes, and
// leaves none behind.
func TestTransportCommand(t *testing.T) {
	p9test.RequireFUSE(t)
	s := p9test.StartServer(t, t.TempDir())
	r := newRigAt(t, s, fmt.Sprintf("exec!'%s' serve '%s' -", p9test.Binary(t), s.Dir))
	r.put("f", make([]byte, 8192))
	f := r.mapped("f")
	r.durable(f, "f", "first")
	first := children(t, r.Mounted.Pid())
	if len(first) != 1 {
		t.Fatalf("children of the mount: %v", first)
	}
	r.ok(syscall.Kill(first[0], syscall.SIGKILL))
	r.durable(f, "f", "second")
	second := children(t, r.Mounted.Pid())
	if len(second) != 1 || second[0] == first[0] {
		t.Fatalf("children of the mount: %v, then %v", first, second)
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", second[0]))
	if err != nil || len(fds) < 3 {
		t.Fatal(fds, err)
	}
	for _, fd := range fds { // with it, the mount would hang when its daemon is killed
		if to, _ := os.Readlink(fd); to == "/dev/fuse" {
			t.Errorf("%s is inherited: %s", fd, to)
		}
	}
	if !strings.Contains(r.Mounted.Stderr(), "serving "+s.Dir) {
		t.Error("what the command says is not in the log")
	}
	r.ok(f.Unmap(r.ctx))
	r.ok(f.Close(r.ctx))
	if status := r.Unmount(); status != 0 {
		t.Error("exit status", status)
	}
	if err := syscall.Kill(second[0], 0); err != syscall.ESRCH {
		t.Errorf("the command is left behind: %v", err)
	}
}

// When the first server is gone, the mount goes on at the second.
func TestTransportList(t *testing.T) {
	p9test.RequireFUSE(t)
	dir := t.TempDir()
	one, two := p9test.StartServer(t, dir), p9test.StartServer(t, dir)
	r := newRigAt(t, one, one.Address()+","+two.Address())
	r.put("f", make([]byte, 8192))
	f := r.mapped("f")
	r.durable(f, "f", "first")
	one.Kill()
	r.durable(f, "f", "second")
	if !strings.Contains(r.Mounted.Stderr(), two.Addr()) {
		t.Errorf("the log does not say where the mount is now:\n%s", r.Mounted.Stderr())
	}
	one.Start()
	two.Kill()
	r.durable(f, "f", "third")
	r.ok(f.Unmap(r.ctx))
	r.ok(f.Close(r.ctx))
}

// A pki is files of certificates: of an authority, and what it has signed.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir()}
	p.cert, p.key = p.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// sign makes the files NAME.pem and NAME-key.pem.
func (p *pki) sign(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, parentKey := p.cert, p.key
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(p.path(file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// terminate takes TLS from clients that show a certificate of p, and passes what
// is inside on to a server. It answers to the name files.example.
func terminate(t *testing.T, p *pki, s *p9test.Server) (address string) {
	t.Helper()
	p.sign(t, "server", &x509.Certificate{DNSNames: []string{"files.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	pair, err := tls.LoadX509KeyPair(p.path("server.pem"), p.path("server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(p.cert)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	address = answering(t, func(c net.Conn) {
		outside := tls.Server(c, config)
		inside, err := net.Dial(s.Network(), s.Addr())
		if err != nil {
			return
		}
		var both sync.WaitGroup
		for _, d := range []struct{ to, from net.Conn }{{inside, outside}, {outside, inside}} {
			both.Go(func() {
				io.Copy(d.to, d.from)
				inside.Close()
				c.Close()
			})
		}
		both.Wait()
	})
	return "tls" + strings.TrimPrefix(address, "tcp")
}

func TestTransportTLS(t *testing.T) {
	p9test.RequireFUSE(t)
	s := p9test.StartServer(t, t.TempDir())
	ours, others := newPKI(t), newPKI(t)
	address := terminate(t, ours, s)
	ours.sign(t, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	ca, cert, key := "--tls-ca="+ours.path("ca.pem"), "--tls-cert="+ours.path("client.pem"), "--tls-key="+ours.path("client-key.pem")
	r := newRigAt(t, s, address, ca, cert, key, "--tls-name=files.example")
	r.put("f", make([]byte, 8192))
	f := r.mapped("f")
	r.durable(f, "f", "first")
	r.ok(f.Unmap(r.ctx))
	r.ok(f.Close(r.ctx))

	dir := t.TempDir()
	mnt, empty := filepath.Join(dir, "mnt"), filepath.Join(dir, "empty")
	r.ok(os.Mkdir(mnt, 0o755))
	r.ok(os.WriteFile(empty, nil, 0o600))
	mount := func(words ...string) []string { return append([]string{"mount"}, append(words, address, mnt)...) }
	refused(t, dir, []refusal{
		{"authority not given", mount(cert, key, "--tls-name=files.example"), 1, "unknown authority", "--tls-ca"},
		{"another authority", mount("--tls-ca="+others.path("ca.pem"), cert, key, "--tls-name=files.example"), 1, "unknown authority", "--tls-ca"},
		{"another name", mount(ca, cert, key), 1, "127.0.0.1", "--tls-name"},
		{"no certificate", mount(ca, "--tls-name=files.example"), 1, "certificate required", "--tls-cert"},
		{"no authority there", mount("--tls-ca=" + empty), 1, "no certificate in .*empty", "PEM"},
		{"no file of authorities", mount("--tls-ca=" + empty + "x"), 1, "--tls-ca.*no such file", "name a file"},
		{"key of another", mount(cert, "--tls-key="+ours.path("server-key.pem")), 1, "--tls-cert and --tls-key.*match", "belong together"},
		{"no key", mount(cert), 2, "--tls-cert and --tls-key", "give both"},
		{"no certificate to a key", mount(key), 2, "--tls-cert and --tls-key", "give both"},
		{"contradiction", mount("--tls-insecure", ca), 2, "--tls-insecure", "--tls-ca"},
		{"no tls address", []string{"mount", ca, s.Address(), mnt}, 2, "no tls! address", "tls!host!port"},
	})
	insecure := newRigAt(t, s, address, "--tls-insecure", cert, key)
	if b, err := os.ReadFile(filepath.Join(insecure.Path, "f")); err != nil || !bytes.HasPrefix(b[4096:], []byte("first")) {
		t.Error("--tls-insecure:", err)
	}
}

func TestTransportBadInput(t *testing.T) {
	p9test.RequireFUSE(t)
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	none := "unix!" + filepath.Join(dir, "none")
	mount := func(address string) []string { return []string{"mount", address, mnt} }
	refused(t, dir, []refusal{
		{"unknown network in a list", mount(none + ",udp!x!1"), 2, `"udp".*in the list`, "tcp!host!port"},
		{"empty address in a list", mount(none + ","), 2, "is empty", "tcp!host!port"},
		{"quotes", mount("exec!sh -c 'x"), 2, "quote", "as for a shell"},
		{"no words", mount("exec!"), 2, "no command", "exec!ssh host u9fs"},
		{"cid", mount("vsock!guest!564"), 2, `"guest"`, "vsock!host!564"},
		{"descriptor", mount("fd!x"), 2, `"x"`, "fd!3"},
		{"descriptor not open", mount("fd!77"), 1, "descriptor 77 is not open", "inherited from the program that starts this one"},
		{"standard input that is none", mount("fd!0"), 1, "descriptor 0 is neither", "inherited"},
		{"no such command", mount("exec!p9mapfs-no-such-command"), 1, "p9mapfs-no-such-command.*not found", "PATH"},
		{"command that fails", []string{"mount", "--log-level=warn", `exec!sh -c 'echo who are you >&2; exit 5'`, mnt}, 1, `exit status 5.*"who are you"`, ""},
		{"two that fail", mount(none + ",exec!false"), 1, `/none.*; exec!false: the command ended, exit status 1`, "is a 9P server listening there"},
		{"serve on TLS", []string{"serve", dir, "tls!127.0.0.1!0"}, 2, "not one to serve at", "tcp!host!port"},
		{"serve on a command", []string{"serve", dir, "exec!true"}, 2, "not one to serve at", "standard input and output"},
		{"serve on nothing", []string{"serve", dir, "-"}, 1, "descriptor 0 is neither", "inetd, ssh, or a mount's exec!"},
		{"serve nothing", []string{"serve", dir + "/x", "-"}, 1, "no such file", "name a directory"},
	})
}

// The server on standard input and output ends with its connection, and with a
// signal; what it says does not get between.
func TestTransportServeOnStandardInputAndOutput(t *testing.T) {
	dir := t.TempDir()
	for _, signal := range []syscall.Signal{0, syscall.SIGTERM} {
		cmd := exec.Command(p9test.Binary(t), "serve", dir, "-")
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		version := "\x15\x00\x00\x00\x64\xff\xff\x00\x20\x00\x00\x08\x009P2000.L"
		io.WriteString(in, version)
		answer := make([]byte, len(version))
		if _, err := io.ReadFull(out, answer); err != nil || answer[4] != 101 || !strings.HasSuffix(string(answer), "9P2000.L") {
			t.Errorf("%q, %v", answer, err)
		}
		for fd := range 2 { // where nothing but 9P may go, nothing goes by accident
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", cmd.Process.Pid, fd)); to != os.DevNull {
				t.Errorf("descriptor %d is %s, %v", fd, to, err)
			}
		}
		if signal == 0 {
			in.Close()
		} else {
			cmd.Process.Signal(signal)
		}
		if rest, err := io.ReadAll(out); len(rest) > 0 {
			t.Errorf("behind the answer: %q, %v", rest, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after signal %d: %v", signal, err)
		}
		kill.Stop()
	}
}
