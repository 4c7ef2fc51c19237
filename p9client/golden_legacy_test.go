package p9client

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// requestsPlain make the client send each T-message of 9P2000; f, d and the next
// fid as in requestsL.
var requestsPlain = map[string]func(ctx context.Context, f, d *Fid){
	"Twalk":             requestsL["Twalk"],
	"Tread":             requestsL["Tread"],
	"Twrite":            requestsL["Twrite"],
	"Tclunk":            requestsL["Tclunk"],
	"Topen":             requestsL["Tlopen"],
	"Tcreate":           func(ctx context.Context, f, d *Fid) { f.Create(ctx, "n", 0x2|0x80|0x400, 0640, 5) },
	"Tcreate.directory": func(ctx context.Context, f, d *Fid) { f.Mkdir(ctx, "d", 0755, 5) },
	"Tremove":           requestsL["Tremove"],
	"Tstat":             func(ctx context.Context, f, d *Fid) { f.GetAttr(ctx) },
	"Twstat.length":     func(ctx context.Context, f, d *Fid) { f.Truncate(ctx, 0x0102030405060708) },
	"Twstat.mode": func(ctx context.Context, f, d *Fid) {
		f.SetAttr(ctx, SetAttr{Valid: SetMode | SetMtime | SetMtimeTo, Mode: 0640, Mtime: time.Unix(0x01020304, 0)})
	},
	"Twstat.name": func(ctx context.Context, f, d *Fid) {
		if o, err := f.Walk(ctx, "o"); err == nil { // fid 3: so it is known what moves
			defer o.Clunk()
		}
		f.Rename(ctx, "o", f, "nn")
	},
	"Twstat.sync": func(ctx context.Context, f, d *Fid) { f.Sync(ctx, false) },
}

// requestsU are those that 9P2000.u has otherwise.
var requestsU = map[string]func(ctx context.Context, f, d *Fid){
	"Tcreate":         requestsPlain["Tcreate"],
	"Tcreate.symlink": func(ctx context.Context, f, d *Fid) { f.Symlink(ctx, "s", "/x", 5) },
	"Tcreate.device":  requestsL["Tmknod"],
	"Twstat.length":   requestsPlain["Twstat.length"],
	"Twstat.owner": func(ctx context.Context, f, d *Fid) {
		f.SetAttr(ctx, SetAttr{Valid: SetUID | SetGID, UID: 4000000000, GID: 4000000001})
	},
}

func TestGoldenRequestsOfTheOlderDialects(t *testing.T) {
	for dialect, requests := range map[string]map[string]func(ctx context.Context, f, d *Fid){Plain: requestsPlain, DotU: requestsU} {
		for name, want := range goldens(t, dialect) {
			switch {
			case name[0] != 'T', name == "Tversion", name == "Tattach", name == "Tflush", name == "Tauth":
				continue
			}
			t.Run(dialect+" "+name, func(t *testing.T) {
				call := requests[name]
				if call == nil {
					t.Fatal("nothing sends it")
				}
				sentBy(t, dialect, want, call)
			})
		}
	}
}

func TestGoldenStartOfTheOlderDialects(t *testing.T) {
	for _, dialect := range []string{Plain, DotU} {
		frames := goldens(t, dialect)
		s := startServer(t)
		s.speak(dialect)
		s.dial(Options{Msize: 8192, Dialect: dialect, Uname: "glenn", NUname: 1000, Aname: "/x"})
		s.mu.Lock()
		for i, name := range []string{"Tversion", "Tattach"} {
			if have := frame(s.seen[i].typ, s.seen[i].tag, s.seen[i].body...); !bytes.Equal(have, frames[name]) {
				t.Errorf("%s:\n got %x\nwant %x", dialect, have, frames[name])
			}
		}
		s.mu.Unlock()
	}
}

// attrOf puts an Attr into words, less what 9P2000 has not.
func attrOf(a Attr, err error) (any, error) {
	return fmt.Sprintf("%v mode %o size %d atime %#x mtime %#x %s %s %s", a.Qid, a.Mode, a.Size, a.Atime.Unix(), a.Mtime.Unix(), a.User, a.Group, a.Muid), err
}

var repliesPlain = map[string]goldenReply{
	"Rwalk":  {repliesL["Rwalk"].call, Qid{0, 0x01020304, 0x0102030405060708}},
	"Rread":  repliesL["Rread"],
	"Rwrite": repliesL["Rwrite"],
	"Ropen":  repliesL["Rlopen"],
	"Rcreate": {func(ctx context.Context, f *Fid) (any, error) {
		return f.Mkdir(ctx, "n", 0, 0)
	}, Qid{0, 7, 9}},
	"Rwstat": repliesL["Rsetattr"],
	"Rstat": {func(ctx context.Context, f *Fid) (any, error) { return attrOf(f.GetAttr(ctx)) },
		"{0 7 2} mode 100644 size 72623859790382856 atime 0x1020304 mtime 0x5060708 u g m"},
	"Rread.directory": {func(ctx context.Context, f *Fid) (any, error) {
		dir, err := f.s.root.Walk(ctx)
		if err == nil {
			err = dir.Open(ctx, syscall.O_RDONLY)
		}
		if err != nil {
			return nil, err
		}
		l, next, err := dir.ReadDir(ctx, 0, 4096)
		if len(l) != 2 {
			return l, err
		}
		a, _ := attrOf(*l[0].Attr, nil)
		b, _ := attrOf(*l[1].Attr, nil)
		return fmt.Sprintf("%s %d: %v; %s %d: %v; %d", l[0].Name, l[0].Offset, a, l[1].Name, l[1].Offset, b, next), err
	}, "f 52: {0 7 2} mode 100644 size 5 atime 0x1020304 mtime 0x5060708 u g ; d 104: {128 0 3} mode 40755 size 0 atime 0x0 mtime 0x1 u g ; 104"},
}

var repliesU = map[string]goldenReply{
	"Rstat": {func(ctx context.Context, f *Fid) (any, error) {
		a, err := f.GetAttr(ctx)
		if err != nil {
			return nil, err
		}
		target, err := f.Readlink(ctx)
		return fmt.Sprintf("mode %o size %d of %d:%d to %s", a.Mode, a.Size, a.UID, a.GID, target), err
	}, "mode 120777 size 2 of 1000:100 to /x"},
}

func TestGoldenRepliesOfTheOlderDialects(t *testing.T) {
	testGoldenReplies(t, Plain, repliesPlain)
	testGoldenReplies(t, DotU, repliesU)
}

func TestGoldenRerror(t *testing.T) {
	for dialect, errno := range map[string]syscall.Errno{Plain: syscall.ENOENT, DotU: syscall.EACCES} {
		reply := goldens(t, dialect)["Rerror"]
		s := startServer(t)
		s.speak(dialect)
		x := s.dial(Options{Dialect: dialect})
		s.always(tstat, func(p *peer, m msg) { p.nc.Write(frame(reply[4], m.tag, reply[7:]...)) })
		want(t, getAttr(t.Context(), x.Root()), errno)
	}
}
