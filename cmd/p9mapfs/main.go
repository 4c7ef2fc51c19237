// Command p9mapfs mounts a 9P import so that any program can map its files, and
// tells the program the truth when a dirty page could not be written back.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2
	exitUnsent  = 3 // the daemon ended with bytes that the server never got
)

// A status is an error that decides the exit status.
type status struct {
	code int
	err  error
}

func (s *status) Error() string { return s.err.Error() }
func (s *status) Unwrap() error { return s.err }

func usage(err error) error { return &status{exitUsage, err} }

func main() {
	if err := root().ExecuteContext(context.Background()); err != nil {
		code := exitFailure
		var s *status
		if errors.As(err, &s) {
			code = s.code
		}
		fmt.Fprintln(os.Stderr, "p9mapfs:", err)
		os.Exit(code)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "p9mapfs",
		Short:         "Mount a 9P import and map its files, without losing a byte in silence",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q; see p9mapfs --help", args[0]))
			}
			return usage(errors.New("what shall it do? see p9mapfs --help, or try p9mapfs demo"))
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
	})
	c.AddCommand(ctlCommands()...)
	c.AddCommand(mountCommand(), unmountCommand(), rescueCommand(), serveCommand(), errorsCommand(), demoCommand(), demoChildCommand(), versionCommand())
	return c
}

// exactly wants as many arguments as it has names for.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage(fmt.Errorf("%s wants %d arguments %v, got %d; see %s --help", c.Name(), len(names), names, len(args), c.CommandPath()))
		}
		return nil
	}
}
