//go:build matrix

package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

// A page is what is stored and read in each case; the patterns tell whose it is.
const (
	page   = 4096
	older  = 1 // acknowledged before the fault
	newer  = 2 // stored during it
	unread = 3
	longer = 3 * page // what "truncate" makes of its file
)

// play is the program of every case.
func (x *run) play() {
	x.prepare()
	want := x.verdicts()
	rules, away := x.rules()
	x.accepted, x.lost = x.Proxy.Accepted(), x.said("connection lost")
	if away {
		x.Proxy.Refuse()
	}
	connected := x.said("connected again")
	x.ok(x.Proxy.Add(rules...))
	trigger := x.trigger()
	switch {
	case x.handshake():
		x.Proxy.Cut()
		x.struck(rules[0], away)
	case x.reconnects():
		x.Proxy.Cut()
		x.await("the next connection", func() bool { return x.said("connected again") > connected })
	case trigger != nil:
		x.struck(rules[0], away)
		if !want.trigger.waits {
			x.answered(trigger, want.trigger)
		}
	}
	x.ok(x.store(newer)) // which is never refused
	if want.sync.waits {
		x.waiting(want, trigger, rules[0], away)
	} else {
		x.judged(want, rules[0])
	}
	x.ok(x.check(x.look, newer)) // what is held is what is read
	x.heal()
	if want.sync.waits {
		x.resumed(want, trigger)
	}
	x.healed()
}

// prepare makes the case's files and opens what the program has open before the fault.
func (x *run) prepare() {
	x.t.Helper()
	x.ok(os.Mkdir(filepath.Join(x.Dir, x.dir), 0o755))
	for name, seed := range map[string]uint64{"f": 0, "g": unread, "h": 0, "t": 0} {
		x.ok(os.WriteFile(filepath.Join(x.Dir, x.dir, name), pattern.Bytes(0, page, seed), 0o644))
	}
	x.f, x.other, x.look = x.open("f", "rw"), x.open("f", "rw"), x.open("f", "r")
	switch x.at {
	case "stat", "truncate":
		x.target = x.open("t", "rw")
	case "read":
		x.target = x.open("g", "r")
		if x.mode == "mmap" {
			x.ok(x.target.Map(x.ctx, 0, 0, "ro"))
		}
	case "open":
		if x.msg == "Tclunk" { // of the fid that finds what is known
			x.open("h", "rw")
		}
	}
	if x.mode == "mmap" {
		x.ok(x.f.Map(x.ctx, 0, 0))
	}
	x.patiently("the first store", func() error { return x.store(older) })
	x.patiently("the first sync", func() error { return x.sync(x.f) })
	if !x.serverHas("f", pattern.Bytes(0, page, older)) {
		x.t.Fatal("synced bytes are not on the server")
	}
}

// patiently does what may fail while the connection is lost, or is thought to be, until
// it works. With hold it must work at once.
func (x *run) patiently(what string, do func() error) {
	x.t.Helper()
	var err error
	x.await(what, func() bool { err = do(); return err == nil || x.policy == "hold" })
	x.ok(err)
}

func (x *run) open(name, flags string) (f *p9test.File) {
	x.t.Helper()
	x.patiently("open "+name, func() (err error) {
		if f == nil {
			f, err = x.helper.Open(x.ctx, x.path(name), flags)
		} else { // a helper has not many slots
			_, err = f.Go("open", strconv.Quote(x.path(name)), flags).Wait(x.ctx)
		}
		return err
	})
	return f
}

func (x *run) path(name string) string { return filepath.Join(x.Path, x.dir, name) }

// store is a page of bytes, through the mapping or by write(2).
func (x *run) store(seed int) error {
	verb := "pfill"
	if x.mode == "mmap" {
		verb = "fill"
	}
	_, err := x.f.Go(verb, 0, page, seed).Wait(x.ctx)
	return err
}

func (x *run) sync(f *p9test.File) error {
	_, err := x.goSync(f).Wait(x.ctx)
	return err
}

func (x *run) goSync(f *p9test.File) *p9test.Call {
	if x.mode == "mmap" && f == x.f {
		return f.Go("msync")
	}
	return f.Go("fsync")
}

// check compares a page by read(2).
func (x *run) check(f *p9test.File, seed int) error {
	_, err := f.Go("pcheck", 0, page, seed).Wait(x.ctx)
	return err
}

// opened is the first slot of what triggers open.
const opened = 900

// trigger makes the call that causes the message, nil if that is a connection's
// beginning or the sync.
func (x *run) trigger() *p9test.Call {
	switch x.at {
	case "open":
		return x.helper.Go(fmt.Sprintf("open %d %q rw", x.slot, x.path("h")))
	case "create":
		return x.helper.Go(fmt.Sprintf("open %d %q rw,creat", x.slot, x.path("n")))
	case "stat":
		return x.target.Go("size")
	case "truncate":
		return x.target.Go("truncate", longer)
	case "read":
		if x.mode == "mmap" {
			return x.target.Go("check", 0, page, unread)
		}
		return x.target.Go("pcheck", 0, page, unread)
	}
	return nil
}

// struck waits until the fault has happened.
func (x *run) struck(rule string, away bool) {
	x.t.Helper()
	x.ok(x.Proxy.WaitFired(x.ctx, rule, 1))
	if away {
		x.ok(x.Proxy.WaitConns(x.ctx, 0))
	}
}

// answered wants an answer of the call that trigger made.
func (x *run) answered(call *p9test.Call, v verdict) {
	x.t.Helper()
	_, err := call.Wait(x.ctx)
	x.is(x.at, v, err)
	if err != nil {
		return
	}
	switch x.at {
	case "create":
		x.serverFile("n")
	case "truncate":
		if n := len(x.serverFile("t")); n != longer {
			x.t.Errorf("truncated to %d, the server's file has %d bytes", longer, n)
		}
	}
}

// judged syncs, again, and through another handle, and looks what the server and
// .errors have then.
func (x *run) judged(want view, rule string) {
	x.t.Helper()
	err := x.sync(x.f)
	x.is("sync", want.sync, err)
	if x.Proxy.Fired(rule) == 0 {
		x.t.Errorf("%s never fired", rule)
	}
	x.acknowledged(err)
	if err != nil && x.refusal() != 0 && x.msg == "Twrite" && !x.serverHas("f", pattern.Bytes(0, page, older)) {
		x.t.Error("refused bytes are on the server")
	}
	if want.held {
		x.await(".errors to say so", func() bool { return x.told(want) })
	}
	err = x.sync(x.f)
	x.is("the next sync", want.again, err)
	x.acknowledged(err)
	err = x.sync(x.other)
	x.is("another handle's sync", want.again, err)
	x.acknowledged(err)
	if x.attributesRefused() {
		return // the kernel asks for those of the way to .errors
	}
	if want.held || x.policy != "fail" {
		if !x.told(want) {
			x.t.Errorf(".errors does not say %v %v", want.state, want.errno)
		}
	}
	if x.at == "read" && x.lasting && !want.trigger.admits(nil) && len(x.journal("g")) == 0 {
		x.t.Error("no fault in .errors")
	}
}

func (x *run) attributesRefused() bool { return x.msg == "Tgetattr" && x.refusal() != 0 && x.lasting }

// acknowledged wants synced bytes on the server.
func (x *run) acknowledged(err error) {
	x.t.Helper()
	if err == nil && !x.serverHas("f", pattern.Bytes(0, page, newer)) {
		x.t.Error("sync returned 0, and the server has other bytes")
	}
}

// waiting wants syncs, and the call that trigger made, not to end.
func (x *run) waiting(want view, trigger *p9test.Call, rule string, away bool) {
	x.t.Helper()
	x.syncs = []*p9test.Call{x.goSync(x.f), x.goSync(x.other)}
	x.struck(rule, away)
	if x.fault == "silent" && !away { // questions would be answered: it is not silent then
		x.await("the loss", func() bool { return x.Proxy.Accepted() > x.accepted+1 })
	}
	x.await(".errors to say pending", func() bool { return x.told(want) })
	for _, c := range x.syncs {
		if ended(c) {
			_, err := c.Wait(x.ctx)
			x.t.Errorf("a sync that had to wait: %v", err)
		}
	}
	if want.trigger.waits && ended(trigger) {
		_, err := trigger.Wait(x.ctx)
		x.t.Errorf("%s had to wait: %v", x.at, err)
	}
}

// heal ends the fault.
func (x *run) heal() {
	x.t.Helper()
	x.ok(x.Proxy.Heal())
	x.ok(x.Proxy.WaitConns(x.ctx, 1))
}

// resumed wants 0 of what has waited.
func (x *run) resumed(want view, trigger *p9test.Call) {
	x.t.Helper()
	for _, c := range x.syncs {
		_, err := c.Wait(x.ctx)
		x.is("a sync that has waited", verdict{}, err)
		x.acknowledged(err)
	}
	if want.trigger.waits {
		x.answered(trigger, verdict{})
	}
}

// healed wants everything to work, and nothing to be lost.
func (x *run) healed() {
	x.t.Helper()
	x.patiently("a sync after healing", func() error { return x.sync(x.f) })
	x.acknowledged(nil)
	x.patiently("another handle's sync after healing", func() error { return x.sync(x.other) })
	x.ok(x.check(x.look, newer))
	x.open("h", "rw")
	switch x.at {
	case "create":
		x.open("n", "rw,creat")
		x.serverFile("n")
	case "truncate":
		x.patiently("truncate", func() error { return x.target.Truncate(x.ctx, longer) })
		x.patiently("sync", func() error { return x.target.Fsync(x.ctx) })
		if n := len(x.serverFile("t")); n != longer {
			x.t.Errorf("truncated to %d, the server's file has %d bytes", longer, n)
		}
	case "read":
		x.patiently("read", func() error { return x.check(x.target, unread) })
	}
	x.await("nothing open in .errors", x.settled)
	x.patiently("close", func() error { return x.f.Close(x.ctx) })
}
