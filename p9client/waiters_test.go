package p9client

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// every is all that a caller may wait in.
func every(x *Session, walked, opened *Fid) map[string]func(ctx context.Context) error {
	root := x.Root()
	return map[string]func(ctx context.Context) error{
		"GetAttr":  func(ctx context.Context) error { _, err := walked.GetAttr(ctx); return err },
		"SetAttr":  func(ctx context.Context) error { return walked.Truncate(ctx, 0) },
		"Walk":     func(ctx context.Context) error { _, err := root.Walk(ctx, "f"); return err },
		"ReadAt":   func(ctx context.Context) error { _, err := opened.ReadAt(ctx, make([]byte, 5), 0); return err },
		"ReadDir":  func(ctx context.Context) error { _, _, err := opened.ReadDir(ctx, 0, 500); return err },
		"StatFS":   func(ctx context.Context) error { _, err := root.StatFS(ctx); return err },
		"Readlink": func(ctx context.Context) error { _, err := walked.Readlink(ctx); return err },
		"Create":   func(ctx context.Context) error { _, err := root.Create(ctx, "new", 0, 0600, 0); return err },
		"Mkdir":    func(ctx context.Context) error { _, err := root.Mkdir(ctx, "new", 0700, 0); return err },
		"Link":     func(ctx context.Context) error { return root.Link(ctx, walked, "new") },
		"Rename":   func(ctx context.Context) error { return root.Rename(ctx, "f", root, "new") },
		"Unlink":   func(ctx context.Context) error { return root.Unlink(ctx, "f", 0) },
	}
}

// With the hold time 0 a caller waits for as long as he likes: until his context
// ends, or the session.
func TestHeldCallersEndWithTheirContextOrTheSession(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(cancel func(), x *Session)
		err  error
	}{
		{"context", func(cancel func(), _ *Session) { cancel() }, syscall.EINTR},
		{"session", func(_ func(), x *Session) { x.Close() }, syscall.ENOTCONN},
	} {
		for _, down := range []bool{true, false} { // there is no server, or it does not answer
			name := test.name + ", silent"
			if down {
				name = test.name + ", down"
			}
			t.Run(name, func(t *testing.T) {
				s := startServer(t)
				s.add("f", 0, "hello")
				x := s.dial(Options{})
				walked, err := x.Root().Walk(t.Context(), "f")
				check(t, err)
				opened := open(t, x, syscall.O_RDWR, "f")
				calls := every(x, walked, opened)
				asked := make(chan error, 2*len(calls))
				if down {
					s.stop()
					eventually(t, "the loss is noticed", func() bool { return !x.Link().Up })
				} else {
					s.setHook(func(p *peer, m msg) bool {
						switch m.typ {
						case tflush:
							return false
						case tclunk: // perhaps of a fid whose Twalk was swallowed
							p.reply(m)
							return true
						}
						asked <- nil
						return true
					})
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				type result struct {
					call string
					err  error
				}
				done := make(chan result, len(calls))
				for name, call := range calls {
					go func() { done <- result{name, call(ctx)} }()
				}
				if !down {
					for range calls {
						within(t, 10*time.Second, asked)
					}
				}
				select {
				case r := <-done:
					t.Fatalf("%s does not wait: %v", r.call, r.err)
				case <-time.After(20 * time.Millisecond):
				}
				test.end(cancel, x)
				for range calls {
					select {
					case r := <-done:
						if !errors.Is(r.err, test.err) {
							t.Errorf("%s: %v, want %v", r.call, r.err, test.err)
						}
					case <-time.After(10 * time.Second):
						t.Fatal("still waiting")
					}
				}
				if test.err == syscall.ENOTCONN {
					for name, call := range calls {
						if err := call(t.Context()); !errors.Is(err, syscall.ENOTCONN) || !strings.Contains(err.Error(), "closed") {
							t.Errorf("%s on a closed session: %v", name, err)
						}
					}
				}
			})
		}
	}
}

// The error is the same with every hold time, also when that had run out before.
func TestClosedSessions(t *testing.T) {
	for _, hold := range []time.Duration{-1, 0, time.Nanosecond, time.Hour} {
		s := startServer(t)
		x := s.dial(Options{HoldTimeout: hold})
		check(t, x.Close())
		for _, ctx := range []context.Context{t.Context(), WithoutHold(t.Context()), AtGeneration(t.Context(), 1)} {
			_, err := x.Root().GetAttr(ctx)
			want(t, err, syscall.ENOTCONN)
			if !disconnected(err) || !strings.Contains(err.Error(), "closed") {
				t.Errorf("hold time %v: %v", hold, err)
			}
		}
		check(t, x.Close())
	}
}

// Close ends those who wait for a fid that somebody else walks again, for a place
// in the queue, and for a tag.
func TestCloseEndsTheQueues(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{})
	fids := walkAll(t, x, s.grow(2*maxCalls))
	s.setHook(func(p *peer, m msg) bool { return m.typ == twalk || m.typ == tgetattr })
	s.cut()
	calls := append(append([]*Fid{}, fids...), fids...)
	for range 2 * maxCalls {
		calls = append(calls, x.Root()) // for tags
	}
	done := make(chan error, len(calls))
	for _, f := range calls {
		go func() { _, err := f.GetAttr(t.Context()); done <- err }()
	}
	eventually(t, "all tags and places are taken", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.conn == nil || len(x.rewalks) != maxRewalks {
			return false
		}
		x.conn.mu.Lock()
		defer x.conn.mu.Unlock()
		return x.conn.gate.in[other].calls == quotas[other]
	})
	check(t, x.Close())
	for range calls {
		want(t, within(t, 10*time.Second, done), syscall.ENOTCONN)
	}
}

// Dial ends with its context, whatever the server does not do; so does Close while
// the session dials. Nothing is left behind.
func TestDialAndCloseEndAtOnce(t *testing.T) {
	for _, silent := range []struct {
		name string
		typ  uint8
	}{{"at Tversion", tversion}, {"at Tattach", tattach}} {
		quiet := func(asked chan error) func(p *peer, m msg) bool {
			return func(p *peer, m msg) bool {
				if m.typ == silent.typ {
					asked <- nil
				}
				return m.typ == silent.typ
			}
		}
		t.Run("Dial "+silent.name, func(t *testing.T) {
			s := startServer(t)
			before := goleak.IgnoreCurrent()
			asked := make(chan error, 100)
			s.setHook(quiet(asked))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := Dial(ctx, Address{Network: "unix", Addr: s.path}, Options{})
				done <- err
			}()
			within(t, 10*time.Second, asked)
			cancel()
			if err := within(t, 5*time.Second, done); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "does not speak") {
				t.Error(err)
			}
			s.cut()
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
		t.Run("Close "+silent.name, func(t *testing.T) {
			s := startServer(t)
			before := goleak.IgnoreCurrent()
			x := s.dial(Options{})
			asked := make(chan error, 100)
			s.setHook(quiet(asked))
			s.cut()
			within(t, 10*time.Second, asked)
			done := make(chan error, 1)
			go func() { done <- x.Close() }()
			check(t, within(t, 5*time.Second, done))
			s.cut()
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("Dial before the server accepts", func(t *testing.T) {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "9p"))
		check(t, err)
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		go func() { _, err := Dial(ctx, Address{Network: "unix", Addr: l.Addr().String()}, Options{}); done <- err }()
		if err := within(t, 5*time.Second, done); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
