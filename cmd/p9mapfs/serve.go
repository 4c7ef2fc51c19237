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
outside DIR can be reached, not through symbolic links either.`,
		Example: `  p9mapfs serve ~/src unix!/tmp/src.sock
  p9mapfs serve --read-only /usr/share tcp!127.0.0.1!5640`,
		Args: exactly("DIR", "ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			addr, err := p9client.ParseAddress(args[1])
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

func serve(ctx context.Context, dir string, addr p9client.Address, o export.Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s, err := export.New(dir, o)
	if err != nil {
		return fmt.Errorf("%w; name a directory that this user can read", err)
	}
	defer s.Close()
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
