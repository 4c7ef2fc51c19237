package p9client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// NoUID is Tattach's n_uname of a user who has no number.
const NoUID = ^uint32(0)

// Options are how a session is set up. Zero values mean the defaults.
type Options struct {
	Msize          uint32        // bytes of the largest message to ask for; 1 MiB + 24
	Uname          string        // user to attach as
	NUname         uint32        // his number; 0 is root, NoUID nobody in particular
	Aname          string        // tree to attach to
	Dialect        string        // DotL, DotU or Plain; empty or "auto": the first of these that the server speaks
	UID, GID       uint32        // 9P2000: of users and groups whose names this system does not know
	DialTimeout    time.Duration // for the connection, Tversion and Tattach; 10 s
	RequestTimeout time.Duration // of silence of the server, while it owes replies; 30 s
	BackoffMin     time.Duration // between attempts to reconnect; 50 ms
	BackoffMax     time.Duration // 2 s
	MaxFids        int           // fids with a number on the connection, open ones beyond that too; 16384, below 0: any number
	HoldTimeout    time.Duration // calls wait for a lost connection so long after the loss; 0: for ever, below 0: not at all
	Log            *slog.Logger  // nil: silent

	// Fallback are addresses that are tried in this order after the one given to
	// Dial, at first and at each reconnect. They have to lead to the same files.
	// Each may take its share of DialTimeout.
	Fallback []Address
	TLS      *tls.Config // for tls! addresses; nil: the system's authorities, the name of the address
	// Dial, if not nil, connects to any address in place of Address.Dial. Its
	// connections' deadlines must work: a Write that one ends with
	// os.ErrDeadlineExceeded goes on where it ended.
	Dial func(context.Context, Address) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	def := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	if o.Msize == 0 {
		o.Msize = 1<<20 + ioHeaderLen
	}
	if o.MaxFids == 0 {
		o.MaxFids = defaultMaxFids
	}
	def(&o.DialTimeout, 10*time.Second)
	def(&o.RequestTimeout, 30*time.Second)
	def(&o.BackoffMin, 50*time.Millisecond)
	def(&o.BackoffMax, 2*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Link tells how the session stands.
type Link struct {
	Up         bool
	Generation uint64  // of the present or the last connection; the first is 1
	Address    Address // to which that was made
	Since      time.Time
	HoldUntil  time.Time // down: until when calls wait; zero is for ever
	Err        error     // down: what calls are told after that
	Cause      error     // down: why
}

// A Session is an attach to a server. It outlives its connections.
type Session struct {
	dialer *dialer // used by Dial, then by keep
	o      Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	root   *Fid
	names  *ids
	offers []string // versions for the first connection, the best first

	numbers numbers
	rewalks chan struct{} // capacity: maxRewalks
	moves   atomic.Uint64 // grows with every rename and removal

	mu      sync.Mutex // guards what follows, and the tree of names
	conn    *conn      // nil while down
	link    Link
	news    chan struct{} // closed when link changes
	msize   uint32        // agreed on with the present or the last connection
	version string        // likewise
	moving  map[place]*move
}

// Dial connects, agrees on a dialect and attaches. The error names what failed
// and the remedy.
func Dial(ctx context.Context, addr Address, o Options) (*Session, error) {
	versions, err := offers(o.Dialect)
	if err != nil {
		return nil, err
	}
	s := &Session{
		dialer: newDialer(addr, o.Fallback), o: o.withDefaults(), news: make(chan struct{}), rewalks: make(chan struct{}, maxRewalks),
		offers: versions, names: newIDs(o.UID, o.GID),
	}
	s.numbers.max = max(s.o.MaxFids, 0)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.root = &Fid{s: s, name: new(name), busy: make(chan struct{}, 1), isRoot: true}
	s.root.name.refs = 1
	c, qid, err := s.connect(ctx, 1)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.root.qid = qid
	s.numbers.begin(c)
	s.conn = c
	s.link = Link{Up: true, Generation: 1, Address: c.addr, Since: time.Now()}
	s.wg.Go(s.keep)
	return s, nil
}

// Close ends the connection and joins every goroutine of the session. Fids that
// are still open are gone with it.
func (s *Session) Close() error {
	s.mu.Lock()
	s.cancel() // and spawn adds no more
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// spawn runs f in a goroutine that Close joins; after Close it does nothing.
func (s *Session) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.wg.Go(f)
	}
}

// Root returns the fid of the attach. It belongs to the session.
func (s *Session) Root() *Fid { return s.root }

// Msize returns the size of the largest message on the present connection, in
// bytes, or on the last one.
func (s *Session) Msize() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.msize
}

// Dialect returns the version that the present connection speaks, or the last
// one did: DotL, perhaps with an extension such as ".Google.3", DotU or Plain.
func (s *Session) Dialect() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// Link returns how the session stands.
func (s *Session) Link() Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// LinkChanged returns a channel that is closed when Link changes next. Take it
// before looking at Link.
func (s *Session) LinkChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

func (s *Session) setLink(c *conn, l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.link = c, l
	close(s.news)
	s.news = make(chan struct{})
}

// backOff returns the intervals between attempts to connect: growing, with jitter,
// so that the clients of a server that was away do not all come back at once.
func (o Options) backOff() *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{
		InitialInterval: o.BackoffMin, MaxInterval: o.BackoffMax, Multiplier: 1.5, RandomizationFactor: 0.3,
	}
	b.Reset()
	return b
}

// keep notices the loss of the connection and makes the next one, until Close.
func (s *Session) keep() {
	c := s.conn
	b := s.o.backOff()
	var since time.Time // from when the hold time runs
	for {
		began := time.Now()
		select {
		case <-c.lost:
		case <-s.ctx.Done():
			c.close(syscall.ENOTCONN)
			s.numbers.begin(nil)
			s.down(c, syscall.ENOTCONN, began)
			return
		}
		c.close(nil)
		s.numbers.begin(nil)
		quick := time.Since(began) < s.o.BackoffMax
		if !quick {
			b.Reset()
		}
		if !quick || since.IsZero() {
			since = time.Now()
		}
		s.down(c, explain(c.nc, c.err), since)
		s.o.Log.Warn("connection lost", "address", c.addr, "cause", s.Link().Cause)
		if c = s.redial(c.generation+1, b, quick); c == nil {
			return
		}
		s.o.Log.Info("connected again", "address", c.addr, "generation", c.generation)
	}
}

// down makes the loss of the connection known. The hold time runs from since. If
// there can be no other connection, nobody waits for it.
func (s *Session) down(c *conn, cause error, since time.Time) {
	hold := s.o.HoldTimeout
	if why := s.dialer.exhausted(); why != nil {
		hold, cause = -1, fmt.Errorf("%w; %w", cause, why)
	}
	l := Link{Generation: c.generation, Address: c.addr, Since: time.Now(), Cause: cause}
	switch {
	case hold < 0:
		l.HoldUntil = since
		l.Err = &Error{Op: "connection", Errno: causeErrno(cause), Ename: "lost: " + cause.Error(), lost: true}
	default:
		if hold > 0 {
			l.HoldUntil = since.Add(hold)
		}
		l.Err = &Error{Op: "connection", Errno: syscall.ETIMEDOUT, Ename: "lost: " + cause.Error(), lost: true}
	}
	s.setLink(nil, l)
}

// redial connects with growing intervals until it succeeds or the session ends.
// A connection that was lost at once counts like an attempt that failed: it does
// not make the intervals short again, nor the hold time start again.
func (s *Session) redial(generation uint64, b *backoff.ExponentialBackOff, wait bool) *conn {
	if s.dialer.exhausted() != nil {
		<-s.ctx.Done()
		return nil
	}
	for {
		if wait {
			t := time.NewTimer(b.NextBackOff())
			select {
			case <-t.C:
			case <-s.ctx.Done():
				t.Stop()
				return nil
			}
		}
		wait = true
		c, _, err := s.connect(s.ctx, generation)
		if err == nil {
			s.numbers.begin(c)
			s.setLink(c, Link{Up: true, Generation: generation, Address: c.addr, Since: time.Now()})
			return c
		}
		s.o.Log.Debug("reconnect", "err", err)
		if s.ctx.Err() != nil {
			return nil
		}
	}
}

// connect makes one connection, to the first address that has a server.
func (s *Session) connect(ctx context.Context, generation uint64) (*conn, Qid, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
	defer cancel()
	addrs := s.dialer.left()
	var errs []error
	for i, a := range addrs {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("%v was not tried: %w", a, context.Cause(ctx)))
			continue
		}
		actx, acancel := share(ctx, len(addrs)-i)
		c, qid, err := s.connectTo(actx, a, generation)
		acancel()
		if err == nil {
			return c, qid, nil
		}
		errs = append(errs, err)
	}
	return nil, Qid{}, oneLine(errs)
}

// connectTo makes a connection: transport, Tversion, Tattach.
func (s *Session) connectTo(ctx context.Context, addr Address, generation uint64) (*conn, Qid, error) {
	nc, version, msize, err := s.handshake(ctx, addr)
	if err != nil {
		return nil, Qid{}, err
	}
	c := newConn(nc, generation, int(msize), s.o.RequestTimeout)
	c.addr = addr
	c.say = dialectOf(version, s.names)
	c.crowded = func(limit int) { s.numbers.lower(limit - limit/4) }
	qid, err := c.say.attach(ctx, c, s.o)
	if err != nil {
		c.close(err)
		err = explain(nc, err)
		return nil, Qid{}, fmt.Errorf("%v refuses the attach of %q as user %q: %w; see --aname and --uname", addr, s.o.Aname, s.o.Uname, err)
	}
	c.rootQid = Qid{Type: qid.Type, Path: qid.Path}
	if generation > 1 && !qid.same(s.root.qid) {
		// Another tree, as when the server was started before its disk was
		// mounted. Its qids mean other files, so the fids from below the old root
		// are stale until a connection has that root again; the session goes on.
		s.o.Log.Warn("the server's root is another one than before", "address", addr, "generation", generation,
			"was", fmt.Sprintf("%#x", s.root.qid.Path), "is", fmt.Sprintf("%#x", qid.Path))
	}
	s.mu.Lock()
	s.msize, s.version = msize, version
	s.mu.Unlock()
	return c, qid, nil
}
