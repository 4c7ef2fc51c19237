package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"p9mapfs/export"
	"p9mapfs/p9client"
)

func serveCommand() *cobra.Command {
	var readOnly bool
	logLevel := choice{"warn", []string{"debug", "info", "warn", "error"}}
	c := &cobra.Command{
		Use:   "serve [flags] DIR ADDRESS",
		Short: "Serve a directory over 9P2000.L, in the foreground until signalled",
		Long: `Serve a directory over 9P2000.L, in the foreground until signalled.

There is no authentication: whoever can connect acts as the user that runs this.
Serve on a unix socket or on 127.0.0.1, unless the network is trusted. Nothing
outside DIR can be reached, not through symbolic links either.

ADDRESS is tcp!host!port, unix!/path, one of host, host:port and /path, or - for
one connection on standard input and output, at the end of which the server ends
too: ssh, inetd or a mount's exec! address make it. fd!N and fd!R,W are that on
other inherited descriptors.`,
		Example: `  p9mapfs serve ~/src unix!/tmp/src.sock
  p9mapfs serve --read-only /usr/share tcp!127.0.0.1!5640
  p9mapfs mount 'exec!ssh fileserver p9mapfs serve /srv/data -' /mnt`,
		Args: exactly("DIR", "ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			addr, err := serveAddress(args[1])
			if err != nil {
				return usage(err)
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level(logLevel.value)}))
			return serve(c.Context(), args[0], addr, export.Options{ReadOnly: readOnly, Log: log})
		},
	}
	c.Flags().BoolVar(&readOnly, "read-only", false, "refuse every change")
	c.Flags().Var(&logLevel, "log-level", "what to log on stderr")
	return c
}

// serveAddress reads where to serve.
func serveAddress(s string) (p9client.Address, error) {
	if s == "-" {
		return p9client.Address{Network: "fd", Addr: "0,1"}, nil
	}
	a, err := p9client.ParseAddress(s)
	switch a.Network {
	case "tls", "vsock", "exec":
		err = fmt.Errorf("address %q is not one to serve at; use tcp!host!port, unix!/path, or - for standard input and output", s)
	}
	return a, err
}

func serve(ctx context.Context, dir string, addr p9client.Address, o export.Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s, err := export.New(dir, o)
	if err != nil {
		return fmt.Errorf("%w; name a directory that this user can read", err)
	}
	defer s.Close()
	if addr.Network == "fd" {
		return serveOne(ctx, s, dir, addr)
	}
	l, err := export.Listen(addr.Network, addr.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %v: %w; choose another address, or end what is there", addr, err)
	}
	at := addr
	if addr.Network == "tcp" { // with the port that was chosen
		at.Addr = l.Addr().String()
	}
	fmt.Fprintf(os.Stderr, "p9mapfs: serving %s on %v\n", dir, at)
	if err := s.Serve(ctx, l); err != nil && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		return err
	}
	return nil
}

// serveOne serves the connection that was inherited. Standard output is
// /dev/null from then on, so that nothing but 9P can get there.
func serveOne(ctx context.Context, s *export.Server, dir string, addr p9client.Address) error {
	nc, err := addr.Dial(ctx, p9client.Options{})
	if err != nil {
		return fmt.Errorf("%w: inetd, ssh, or a mount's exec! address", err)
	}
	fmt.Fprintf(os.Stderr, "p9mapfs: serving %s on %v\n", dir, addr)
	if err := s.ServeConn(ctx, nc); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving %v: %w", addr, err)
	}
	return nil
}
