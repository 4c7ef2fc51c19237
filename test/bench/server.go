package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A server is a 9P server over the exported directory, on loopback.
type server struct {
	*child
	name  string
	addr  string // host:port
	aname string
}

// address is what p9mapfs takes.
func (s *server) address() string { return "tcp!" + strings.Replace(s.addr, ":", "!", 1) }

// makeFile fills the file that is read, and so leaves it in the page cache.
func (b *bench) makeFile(size int64) error {
	b.export = filepath.Join(b.dir, "export")
	if err := os.Mkdir(b.export, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(b.export, fileName))
	if err != nil {
		return err
	}
	defer f.Close()
	random := rand.NewChaCha8([32]byte{1})
	p := make([]byte, pageSize)
	for ; b.size < size; b.size += pageSize {
		_, _ = random.Read(p)
		if _, err := f.Write(p); err != nil {
			return err
		}
		b.sum += uint64(p[0])
	}
	return f.Close()
}

func (b *bench) startDiod(ctx context.Context) (*server, error) {
	path, err := exec.LookPath("diod")
	if err != nil {
		path = "/usr/sbin/diod"
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "-f", "-n", "-l", addr, "-e", b.export, "-L", "stderr")
	cmd.Dir = b.dir // where it may dump core
	c, err := start(ctx, cmd, "")
	if err != nil {
		return nil, err
	}
	s := &server{child: c, name: "diod", addr: addr, aname: b.export}
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return s, conn.Close()
		}
		select {
		case <-c.done:
			return nil, errors.New("diod ended: " + c.stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, err
		}
	}
}

func (b *bench) startEmbedded(ctx context.Context) (*server, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{name: "p9mapfs serve", addr: addr}
	cmd := exec.CommandContext(ctx, b.program("p9mapfs"), "serve", b.export, s.address())
	s.child, err = start(ctx, cmd, "p9mapfs: serving ")
	return s, err
}

// freePort returns host:port of loopback that was free just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
