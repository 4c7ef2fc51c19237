package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a mount of a server through the fault proxy, and a process that maps
// files on it.
type rig struct {
	*p9test.Mounted
	*p9test.Helper
	t   *testing.T
	ctx context.Context
}

// servers runs a test on servers of 9P2000.L and 9P2000, through the proxy.
func servers(t *testing.T, test func(r *rig), flags ...string) {
	for _, kind := range []p9test.Kind{p9test.Embedded, p9test.Diod, p9test.Legacy} {
		t.Run(kind.String(), func(t *testing.T) { test(newRig(t, kind, flags...)) })
	}
}

func newRig(t *testing.T, kind p9test.Kind, flags ...string) *rig {
	return newRigWith(t, []p9test.Option{p9test.WithServer(kind)}, flags...)
}

func newRigWith(t *testing.T, server []p9test.Option, flags ...string) *rig {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	flags = append([]string{"--retry-interval", "50ms", "--exit-timeout", "2s", "--attr-timeout", "100ms"}, flags...)
	m := p9test.Mount(t, t.TempDir(), append(server, p9test.OverTCP(), p9test.Through(),
		p9test.Flags(flags...), p9test.AllowExit(0, 3))...)
	return &rig{Mounted: m, Helper: p9test.StartHelper(t), t: t, ctx: ctx}
}

// plain tells whether the server speaks 9P2000.
func (r *rig) plain() bool { return r.Server.Kind == p9test.Legacy }

// plainWords are the messages of 9P2000 that stand for those of 9P2000.L. It syncs by
// a Twstat that changes nothing.
var plainWords = strings.NewReplacer(
	"fsync", "wstat", "getattr", "stat", "setattr", "wstat", "lopen", "open", "lcreate", "create", "readdir", "read", "unlinkat", "remove",
)

var replyErrno = regexp.MustCompile(`reply=(E[A-Z0-9]+)`)

// said is a rule of the proxy, written for 9P2000.L, in the server's dialect.
func (r *rig) said(rule string) string {
	if !r.plain() {
		return rule
	}
	rule = plainWords.Replace(rule)
	return replyErrno.ReplaceAllStringFunc(rule, func(s string) string {
		errno, ok := map[string]syscall.Errno{
			"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EDQUOT": syscall.EDQUOT, "EROFS": syscall.EROFS,
			"EACCES": syscall.EACCES, "EPERM": syscall.EPERM, "EFBIG": syscall.EFBIG, "EOPNOTSUPP": syscall.EOPNOTSUPP,
		}[strings.TrimPrefix(s, "reply=")]
		if !ok {
			r.t.Fatalf("%s: what does a server of 9P2000 say?", s)
		}
		return fmt.Sprintf("ename=%q", errno.Error())
	})
}

func (r *rig) rules(rules ...string) {
	r.t.Helper()
	for i := range rules {
		rules[i] = r.said(rules[i])
	}
	if err := r.Proxy.Add(rules...); err != nil {
		r.t.Fatal(err)
	}
}

// put makes a file on the server, behind the mount's back.
func (r *rig) put(name string, data []byte) {
	r.t.Helper()
	r.ok(os.WriteFile(filepath.Join(r.Dir, name), data, 0o644))
}

// open opens a file on the mount in the helper, and maps it.
func (r *rig) open(name, flags string) *p9test.File {
	r.t.Helper()
	f, err := r.Helper.Open(r.ctx, filepath.Join(r.Path, name), flags)
	r.ok(err)
	return f
}

func (r *rig) mapped(name string) *p9test.File {
	r.t.Helper()
	f := r.open(name, "rw")
	r.ok(f.Map(r.ctx, 0, 0))
	return f
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.journalText())
	}
}

func (r *rig) fails(err, want error) {
	r.t.Helper()
	if !errors.Is(err, want) {
		r.t.Fatalf("got %v, want %v\n%s", err, want, r.journalText())
	}
}

// serverHas wants the server's file to have these bytes at off.
func (r *rig) serverHas(name string, off int, want []byte) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.Dir, name))
	r.ok(err)
	if len(b) < off+len(want) || !bytes.Equal(b[off:off+len(want)], want) {
		r.t.Fatalf("the server's %s, of %d bytes, has other bytes at %d", name, len(b), off)
	}
}

// journal reads .errors, in a process of its own lest a hang there be ours.
func (r *rig) journal() (l []errjournal.Entry) {
	r.t.Helper()
	for e, err := range errjournal.Parse(bytes.NewReader([]byte(r.journalText()))) {
		r.ok(err)
		l = append(l, e)
	}
	return l
}

func (r *rig) journalText() string {
	b, err := os.ReadFile(filepath.Join(r.Path, ".errors"))
	if err != nil {
		return ".errors: " + err.Error()
	}
	return string(b)
}

func (r *rig) states() (l []errjournal.State) {
	for _, e := range r.journal() {
		l = append(l, e.State)
	}
	return l
}

// allIn wants every line of .errors, of which there must be one, in a state.
func (r *rig) allIn(s errjournal.State) bool {
	l := r.states()
	return len(l) > 0 && !slices.ContainsFunc(l, func(x errjournal.State) bool { return x != s })
}

// await waits for a condition, at most 20 s.
func (r *rig) await(what string, cond func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited 20 s for %s\n%s\n%v", what, r.journalText(), r.Proxy.Log())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// lost waits until the daemon has noticed the loss of its connection.
func (r *rig) lost() {
	r.t.Helper()
	r.Proxy.Refuse()
	r.Proxy.Cut()
	r.await("no connection", func() bool { return r.Proxy.Conns() == 0 })
}

func ended(c *p9test.Call) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// waiting wants calls not to end, for a while, before something lets them.
func (r *rig) waiting(calls ...*p9test.Call) {
	r.t.Helper()
	time.Sleep(300 * time.Millisecond) // what fails at once has failed by then
	for _, c := range calls {
		if ended(c) {
			_, err := c.Wait(r.ctx)
			r.t.Fatalf("a call ended that had to wait: %v\n%s", err, r.journalText())
		}
	}
}

// heal lets the daemon reconnect and waits until it did.
func (r *rig) heal() {
	r.t.Helper()
	r.Proxy.Heal()
	r.ok(r.Proxy.WaitConns(r.ctx, 1))
}
