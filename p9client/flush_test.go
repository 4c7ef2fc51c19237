package p9client

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"
)

// idle tells whether every tag is free.
func idle(c *conn) func() bool { return func() bool { return freeTags(c) == maxCalls } }

func freeTags(c *conn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gate.n
}

// flush(5): a tag that was flushed is not used again before Rflush, also if the
// reply came.
func TestTagWaitsForRflush(t *testing.T) {
	t.Parallel()
	c, srv := rig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- getattr(ctx, c) }()
	m := recv(t, srv)
	cancel()
	f := recv(t, srv)
	if f.typ != tflush || f.tag == m.tag {
		t.Fatalf("not a Tflush of its own tag: %+v", f)
	}
	srv.Write(frame(tgetattr+1, m.tag)) // late reply; Rflush is still owed
	if err := within(t, 3*time.Second, done); err != nil {
		t.Errorf("a reply that came before Rflush counts, got %v", err)
	}
	if freeTags(c) != maxCalls-1 {
		t.Errorf("%d tags are free", freeTags(c))
	}
	for range 2 * maxCalls {
		go func() { done <- getattr(t.Context(), c) }()
		n := recv(t, srv)
		if n.tag == m.tag {
			t.Fatalf("tag %d is used again while its Tflush is unanswered", n.tag)
		}
		srv.Write(frame(tgetattr+1, n.tag))
		within(t, 3*time.Second, done)
	}
	srv.Write(frame(tflush+1, f.tag))
	eventually(t, "the tag is free", idle(c))
}

func TestLateRflushFreesTheTag(t *testing.T) {
	t.Parallel()
	c, srv := rig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- getattr(ctx, c) }()
	recv(t, srv)
	cancel()
	f := recv(t, srv)
	if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	srv.Write(frame(tflush+1, f.tag))
	eventually(t, "the tag is free", idle(c))
	if !c.oldest().IsZero() {
		t.Error("the watchdog still waits for an answer")
	}
}

// An error in place of Rflush does not mean that the request is gone.
func TestErrorToTflushKeepsTheTag(t *testing.T) {
	t.Parallel()
	c, srv := rig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- getattr(ctx, c) }()
	m := recv(t, srv)
	cancel()
	f := recv(t, srv)
	srv.Write(frame(rlerror, f.tag, 5, 0, 0, 0))
	if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if freeTags(c) != maxCalls-1 {
		t.Error("the tag is free before the reply")
	}
	srv.Write(frame(tgetattr+1, m.tag))
	eventually(t, "the tag is free", idle(c))
}

// flush(5): after Rflush no reply comes. A server that sends one all the same
// cannot be told from one that answers another request.
func TestReplyAfterRflushEndsTheConnection(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done, other := make(chan error, 1), make(chan error, 1)
	go func() { done <- getattr(ctx, c) }()
	m := recv(t, srv)
	go func() { other <- getattr(t.Context(), c) }()
	recv(t, srv)
	cancel()
	srv.Write(frame(tflush+1, recv(t, srv).tag))
	if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	srv.Write(frame(tgetattr+1, m.tag))
	if err := within(t, 3*time.Second, other); !isLost(err) || !errors.Is(err, syscall.EPROTO) {
		t.Error(err)
	}
}

// A reply, or an Rflush, to what is still waiting to be sent makes no sense.
func TestRepliesToWhatWasNotSentEndTheConnection(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(small, large, oldtag uint16) []byte{
		"small": func(small, _, _ uint16) []byte { return frame(tgetattr+1, small) },
		"large": func(_, large, _ uint16) []byte { return frame(twrite+1, large, le32(0)...) },
		"flush": func(_, _, oldtag uint16) []byte { return frame(tflush+1, oldtag|flushBit) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := socketRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 4)
			go func() { done <- getattr(ctx, c) }()
			flushed := recv(t, srv).tag
			fill(t, c, done) // tags are used in turn
			small, large := newCall(tgetattr), newCall(twrite)
			go func() { _, err := c.rpc(t.Context(), small, nil); done <- err }()
			eventually(t, "the small one waits", inOutbox(c, 1))
			go func() { _, err := c.rpc(t.Context(), large, make([]byte, 60_000)); done <- err }()
			eventually(t, "the large one waits", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return large.in == &c.large
			})
			cancel()
			eventually(t, "the Tflush waits", inOutbox(c, 2))
			srv.Write(lie(small.tag, large.tag, flushed))
			for range 4 {
				if err := within(t, 3*time.Second, done); !errors.Is(err, syscall.EPROTO) && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			if !c.isLost() {
				t.Error("the connection goes on")
			}
		})
	}
}

// A stale reply, sent twice, does not meet a request of the same tag soon.
func TestTagsAreUsedInTurn(t *testing.T) {
	t.Parallel()
	c, srv := rig(t)
	seen := map[uint16]bool{}
	done := make(chan error, 1)
	for i := range maxCalls {
		go func() { done <- getattr(t.Context(), c) }()
		m := recv(t, srv)
		if seen[m.tag] {
			t.Fatalf("tag %d comes again after %d requests", m.tag, i)
		}
		seen[m.tag] = true
		srv.Write(frame(tgetattr+1, m.tag))
		within(t, 3*time.Second, done)
	}
	go func() { done <- getattr(t.Context(), c) }()
	m := recv(t, srv)
	srv.Write(frame(tgetattr+1, (m.tag+maxCalls-1)%maxCalls))
	if err := within(t, 3*time.Second, done); !isLost(err) {
		t.Error(err)
	}
}

// Every tag may be flushed at the same time; afterwards all are free.
func TestFlushOfEveryTag(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, maxCalls+1)
	for kind, typ := range []uint8{other: tgetattr, reading: tread, writing: twrite} {
		for range quotas[kind] {
			go func() { done <- request(ctx, c, typ, nil) }()
		}
	}
	for range maxCalls {
		recv(t, srv)
	}
	go func() { done <- getattr(ctx, c) }()
	eventually(t, "one waits for a tag", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.gate.in[other].waiting.first != nil
	})
	cancel()
	for range maxCalls {
		m := recv(t, srv)
		if m.typ != tflush {
			t.Fatalf("%+v", m)
		}
		srv.Write(frame(tflush+1, m.tag))
	}
	for range maxCalls + 1 {
		if err := within(t, 5*time.Second, done); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	eventually(t, "all tags are free", idle(c))
}
