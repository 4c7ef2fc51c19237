// Command serve is the program of package legacy9p: a 9P2000 server over a directory. See there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"p9mapfs/test/legacy9p"
)

const usage = `usage: legacy9p [flags] DIR ADDRESS
       legacy9p [flags] --stdio DIR
ADDRESS is tcp!host!port or unix!/path.
`

func main() {
	err := run()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "legacy9p:", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // every message is garbage: a third of the time at 8 KiB
	}
	var o legacy9p.Options
	f := flag.NewFlagSet("legacy9p", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.PrintDefaults()
	}
	msize := f.Uint("msize", legacy9p.DefaultMsize, "the largest message, `bytes`")
	f.BoolVar(&o.U, "u", false, "answer 9P2000.u to a client that asks for it")
	f.BoolVar(&o.ReadOnly, "read-only", false, "refuse every change")
	f.BoolVar(&o.PathBased, "path-based", false, "let open fids go by path, too")
	f.BoolVar(&o.NoSync, "no-sync", false, "refuse the null Twstat")
	stdio := f.Bool("stdio", false, "speak 9P on standard input and output")
	if err := f.Parse(os.Args[1:]); err != nil {
		return flag.ErrHelp // it has said what is wrong
	}
	o.Msize = uint32(min(*msize, 1<<32-1))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *stdio && f.NArg() == 1 {
		return serveStdio(ctx, f.Arg(0), o)
	}
	if *stdio || f.NArg() != 2 {
		f.Usage()
		return flag.ErrHelp
	}
	return serve(ctx, f.Arg(0), f.Arg(1), o)
}

func serve(ctx context.Context, dir, address string, o legacy9p.Options) error {
	network, addr, err := parseAddress(address)
	if err != nil {
		return err
	}
	s, err := legacy9p.New(dir, o)
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	if network == "tcp" { // with the port that was chosen
		address = "tcp!" + strings.Replace(l.Addr().String(), ":", "!", 1)
	}
	fmt.Fprintf(os.Stderr, "legacy9p: serving %s on %s\n", dir, address)
	return s.Serve(ctx, l)
}

func parseAddress(s string) (network, addr string, err error) {
	switch p := strings.Split(s, "!"); {
	case len(p) == 3 && p[0] == "tcp":
		return "tcp", net.JoinHostPort(p[1], p[2]), nil
	case len(p) == 2 && p[0] == "unix":
		return "unix", p[1], nil
	}
	return "", "", fmt.Errorf("address %q is neither tcp!host!port nor unix!/path", s)
}

func serveStdio(ctx context.Context, dir string, o legacy9p.Options) error {
	s, err := legacy9p.New(dir, o)
	if err != nil {
		return err
	}
	defer s.Close()
	rw, err := newStdio()
	if err != nil {
		return err
	}
	return s.ServeConn(ctx, rw)
}

// stdio is a connection. Its descriptors do not block, so that Close ends a Read.
type stdio struct{ in, out *os.File }

func newStdio() (stdio, error) {
	for fd := range 2 {
		if err := syscall.SetNonblock(fd, true); err != nil {
			return stdio{}, fmt.Errorf("standard input or output: %w", err)
		}
	}
	return stdio{os.NewFile(0, "stdin"), os.NewFile(1, "stdout")}, nil
}

func (s stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s stdio) Close() error                { return errors.Join(s.in.Close(), s.out.Close()) }
