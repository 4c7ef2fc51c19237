package p9test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// forgetfulReady is what a Forgetful server says at the begin of each life.
const forgetfulReady = "forgetful: serving "

// Crash makes a Forgetful server drop every connection and whatever no Tfsync covered, and waits until it listens again,
// on the same address. Use it from one goroutine.
func (s *Server) Crash(ctx context.Context) error {
	lives := s.Lives()
	if err := s.current().signal(syscall.SIGUSR1); err != nil {
		return fmt.Errorf("SIGUSR1 to the server: %w", err)
	}
	return s.WaitLives(ctx, lives+1)
}

// Lives is how often a Forgetful server, as last started, has begun to listen: once more than it has crashed.
func (s *Server) Lives() int { return strings.Count(s.Stderr(), forgetfulReady) }

// WaitLives waits until Lives is n or more.
func (s *Server) WaitLives(ctx context.Context, n int) error {
	for tick := time.NewTicker(time.Millisecond); ; {
		if s.Lives() >= n {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-s.current().done:
			return fmt.Errorf("the %s server ended: %s", s.Kind, s.Stderr())
		case <-ctx.Done():
			return fmt.Errorf("waiting for life %d of the %s server: %w", n, s.Kind, context.Cause(ctx))
		}
	}
}
