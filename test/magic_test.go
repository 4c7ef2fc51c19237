package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

func TestErrorsFileCanBeFollowedWithTailAndReadByOthers(t *testing.T) {
	servers(t, func(r *rig) {
		r.ok(os.Mkdir(filepath.Join(r.Dir, "d"), 0o755))
		r.put("d/f", make([]byte, 4096))
		r.put("g", make([]byte, 4096))
		f, g := r.mapped("d/f"), r.mapped("g")
		all := r.start("tail", "-n", "+1", "-s", "0.05", "-f", r.at(".errors"))
		below := r.start("tail", "-s", "0.05", "-f", r.at("d/.errors"))
		r.refuse(f, "one")
		all.says(`(?m)^seq=1 .*state=failed .*file="d/f".*errno=ENOSPC`)
		below.says(`state=failed`)
		if got := r.shell(`grep -c state=failed "$1"/.errors; python3 -c 'import sys; print(len(open(sys.argv[1]+"/d/.errors").readlines()))' "$1"`); got.stdout != "1\n1\n" {
			t.Errorf("grep and python: %+v", got)
		}
		late := r.start("tail", "-n", "1", "-s", "0.05", "-f", r.at(".errors")) // it looks for the end
		late.says(`state=failed`)
		slow, err := os.Open(r.at(".errors"))
		r.ok(err)
		defer slow.Close()
		begun := make([]byte, 10)
		_, err = io.ReadFull(slow, begun)
		r.ok(err)
		r.ok(g.Store(r.ctx, 0, []byte("elsewhere")))
		r.fails(g.Msync(r.ctx), syscall.ENOSPC)
		r.Proxy.Clear()
		r.ok(f.Msync(r.ctx))
		if rest, err := io.ReadAll(slow); err != nil || strings.Count(string(rest), "\n") != 1 || !strings.Contains(string(rest), "state=failed") {
			t.Errorf("what happened after open is there before the end was: %q%q, %v", begun, rest, err)
		}
		if more, err := io.ReadAll(slow); err != nil || !regexp.MustCompile(`^seq=2 .*file="g"(?s:.*)\nseq=1 .*state=resolved .*\n$`).Match(more) {
			t.Errorf("after the end: %q, %v", more, err)
		}
		for _, b := range []*background{all, below, late} {
			b.says(`(?m)^seq=1 .*state=resolved `)
			b.ends(syscall.SIGINT)
			if got := strings.Contains(b.out.String(), `file="g"`); got == (b == below) {
				t.Errorf("%v: tells of g: %v", b.cmd.Args, got)
			}
			if s := b.out.String(); strings.Contains(s, "truncated") || !regexp.MustCompile(`(?s)^seq=1[^\n]*state=failed.*state=resolved[^\n]*\n$`).MatchString(s) {
				t.Errorf("%v: %s", b.cmd.Args, s)
			}
		}
		if l := r.journal(); len(l) != 2 || l[0].State != errjournal.Resolved {
			t.Errorf("who opens it now reads each matter once: %v", l)
		}
		r.ok(slow.Close())
		r.await("the size to be that of the text", func() bool { // a descriptor that was open for long has a longer one
			st, err := os.Stat(r.at(".errors"))
			return err == nil && st.Size() == int64(len(r.journalText())) && time.Since(st.ModTime()) < time.Minute
		})
	}, "--retry-interval", "1h")
}

func TestEventsAreReadByEachOpenForItself(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		one, two := r.start("cat", r.at(".events")), r.start("cat", r.at(".events"))
		// Both have to be there; a third shows that there was nothing to read.
		r.await("two readers", func() bool { return r.opened(one, ".events") && r.opened(two, ".events") })
		nonblocking := `import os, sys
fd = os.open(sys.argv[1] + "/.events", os.O_RDONLY | os.O_NONBLOCK)
try:
    print(os.read(fd, 4096))
except BlockingIOError:
    print("EAGAIN")`
		if got := run(r.t, nil, "python3", "-c", nonblocking, r.Path); got.stdout != "EAGAIN\n" {
			t.Errorf("O_NONBLOCK: %+v", got)
		}
		r.refuse(f, "one")
		for _, b := range []*background{one, two} {
			b.says(`state=failed .*errno=ENOSPC`)
		}
		r.Proxy.Clear()
		r.lost()
		one.says(`# link=down .*cause="`)
		r.heal()
		one.says(`# link=up generation=2 `)
		r.ok(f.Msync(r.ctx))
		for _, b := range []*background{one, two} {
			b.says(`(?s)state=failed.*link=up.*seq=1 .*state=resolved`)
		}
		late := r.start("cat", r.at(".events"))
		r.await("a late reader", func() bool { return r.opened(late, ".events") })
		for _, b := range []*background{one, late} { // blocked reads
			b.ends(syscall.SIGTERM)
		}
		if s := late.out.String(); s != "" {
			t.Errorf("a late reader was told of what was before it: %q", s)
		}
	}, "--retry-interval", "1h")
}

// opened reports whether a program has a file of the mount open, and waits in a
// read of it.
func (r *rig) opened(b *background, name string) bool {
	dir := fmt.Sprintf("/proc/%d/", b.cmd.Process.Pid)
	l, _ := filepath.Glob(dir + "fd/*")
	call, _ := os.ReadFile(dir + "syscall")
	for _, fd := range l {
		if to, _ := os.Readlink(fd); to == r.at(name) {
			return bytes.HasPrefix(call, fmt.Appendf(nil, "%d ", syscall.SYS_READ))
		}
	}
	return false
}

func TestCtlAnswersOnTheSameDescriptor(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		r.put("with blank", make([]byte, 4096))
		f := r.mapped("f")
		r.ok(f.Store(r.ctx, 0, []byte("only in the kernel")))
		for _, c := range []struct{ command, errno, words string }{
			{`sync`, "", `^ok: [12] files? synced\n$`},
			{`sync "with blank"`, "", `^ok: `},
			{`sync with blank`, "No such file", `^error: "with"`},
			{`sync "with`, "Invalid argument", `^error: .*quotes`},
			{`retry f`, "", `^ok: 0 files`},
			{`nonsense`, "Invalid argument", `^error: .*nonsense.*sync, retry`},
			{`log loud`, "Invalid argument", `^error: .*debug, info`},
			{`log debug`, "", `^ok: log level debug\n$`},
			{`reconnect`, "", `^ok: connected to .*, generation 2\n$`},
			{"sync f\nretry f", "", `^ok: 1 file synced\nok: `},
			{"sync none\nretry f", "No such file", `^error: .*none[^\n]*\n$`},
		} {
			got := r.shell(fmt.Sprintf(`exec 3<>"$1"/.ctl; cat <<<'%s' >&3; cat <&3`, c.command))
			if !regexp.MustCompile(c.words).MatchString(got.stdout) || (c.errno != "") != (got.stderr != "") || !strings.Contains(got.stderr, c.errno) {
				t.Errorf("%q: %+v", c.command, got)
			}
		}
		r.serverHas("f", 0, []byte("only in the kernel"))
		if !strings.Contains(r.Stderr(), "given up on request") || r.Proxy.Accepted() != 2 {
			t.Errorf("reconnect: %d connections\n%s", r.Proxy.Accepted(), r.Stderr())
		}
		r.refuse(f, "kept")
		if got := r.shell(`exec 3<>"$1"/.ctl; echo sync >&3; cat <&3`); !strings.Contains(got.stderr, "No space left") || !regexp.MustCompile(`^error: "f": T?write: `).MatchString(strings.ToLower(got.stdout)) && !strings.Contains(got.stdout, `error: "f": T`) {
			t.Errorf("sync of refused bytes: %+v", got)
		}
		r.Proxy.Clear()
		if got := r.shell(`echo retry > "$1"/.ctl`); got != (ran{}) {
			t.Errorf("echo retry: %+v", got)
		}
		r.await("what was refused to be sent again", func() bool { return r.allIn(errjournal.Resolved) })
		r.serverHas("f", 0, []byte("kept"))
	}, "--retry-interval", "1h")
}

func TestCtlObeysWhileAnotherCommandWaits(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.ok(f.Store(r.ctx, 0, []byte("unsent")))
		r.lost()
		waiting := r.start("bash", "-c", `echo sync > "$1"/.ctl`, "bash", r.Path)
		r.await("bytes that wait", func() bool { return r.allIn(errjournal.Pending) })
		if got := r.shell(`echo retry > "$1"/.ctl && echo "log debug" > "$1"/.ctl`); got != (ran{}) {
			t.Errorf("while sync waits: %+v", got)
		}
		select {
		case <-waiting.done:
			t.Errorf("sync did not wait: %s", waiting.out.String())
		default:
		}
		r.heal()
		waiting.ends(0)
		r.serverHas("f", 0, []byte("unsent"))
	})
}

func TestSyncCommandCollectsWhatIsOnlyInTheKernel(t *testing.T) {
	servers(t, func(r *rig) {
		r.ok(os.Mkdir(filepath.Join(r.Dir, "d"), 0o755))
		r.put("d/f", make([]byte, 8192))
		f := r.mapped("d/f")
		for i, path := range []string{"", "d", "d/f"} {
			text := []byte("store of " + path)
			r.ok(f.Store(r.ctx, int64(100*i), text))
			syncs := r.Proxy.Count(r.said("Tfsync"))
			if got := r.p9mapfs("sync", r.at(path)); got.status != 0 || got.stdout != r.at(path)+": 1 file synced\n" {
				t.Errorf("%q: %+v", path, got)
			}
			r.serverHas("d/f", 100*i, text)
			if !r.plain() && r.Proxy.Count("Tfsync") == syncs {
				t.Errorf("sync %q without a Tfsync", path)
			}
		}
		r.rules("Twrite reply=EDQUOT")
		r.ok(f.Store(r.ctx, 0, []byte("refused")))
		if got := r.p9mapfs("sync", r.at("d")); got.status != 1 || !strings.Contains(got.stderr, "quota exceeded") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("refused: %+v", got)
		}
		r.Proxy.Clear()
		if got := r.p9mapfs("retry", r.at("d")); got.status != 0 || !strings.Contains(got.stdout, "1 file with refused bytes") {
			t.Errorf("retry: %+v", got)
		}
		r.await("the retry", func() bool { return r.allIn(errjournal.Resolved) })
	}, "--retry-interval", "1h")
}

func TestDropCommandHasTheServerAskedAgain(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.mapped("f")
		_, err := f.Load(r.ctx, 0, 1)
		r.ok(err)
		r.await("the rest to be read ahead", func() bool {
			b, err := os.ReadFile(r.at(".stats"))
			return err == nil && bytes.Contains(b, []byte("cache 65536 bytes\n"))
		})
		for _, again := range []bool{false, true} {
			if again {
				if got := r.p9mapfs("drop", r.Path); got.status != 0 || got.stdout != r.Path+": clean pages of 1 file dropped\n" {
					t.Errorf("drop: %+v", got)
				}
			}
			reads := r.Proxy.Count("Tread")
			_, err := f.Load(r.ctx, 0, 1)
			r.ok(err)
			if asked := r.Proxy.Count("Tread") > reads; asked != again {
				t.Errorf("dropped %v, the server is asked %v", again, asked)
			}
		}
	})
}

func TestErrorsCommandFollowsAndSpeaksJSON(t *testing.T) {
	r := newRig(t, p9test.Embedded, "--retry-interval", "1h")
	r.put("f", make([]byte, 4096))
	r.put("g", make([]byte, 4096))
	f, g := r.mapped("f"), r.mapped("g")
	r.refuse(f, "one")
	rows := r.start(p9test.Binary(t), "errors", "-f", r.at("f"))
	objects := r.start(p9test.Binary(t), "errors", "-f", "--json", r.Path)
	rows.says(`(?m)\ASTATE +SINCE +ERROR .*\nfailed +\S+ \S+ +ENOSPC +Twrite +1 +0\+4096 +f: `)
	objects.says(`(?m)^\{"seq":1,"time":"\d+-[^"]*Z","state":"failed","op":"Twrite","file":"f","off":0,"len":4096,"errno":"ENOSPC","msg":"[^\n]+","tries":1\}$`)
	r.ok(g.Store(r.ctx, 0, []byte("two")))
	r.fails(g.Msync(r.ctx), syscall.ENOSPC)
	objects.says(`"seq":2,.*"file":"g"`)
	r.Proxy.Clear()
	r.ok(f.Msync(r.ctx))
	rows.says(`(?m)^resolved .* f: `)
	objects.says(`"state":"resolved"`)
	if s := rows.out.String(); strings.Contains(s, " g: ") {
		t.Errorf("another file's matters:\n%s", s)
	}
	rows.ends(syscall.SIGINT)
	if got := r.p9mapfs("errors", r.Path); got.status != 1 || strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("of the two one is open: %+v", got)
	}
}

func TestStatsTellHowTheMountFares(t *testing.T) {
	servers(t, func(r *rig) {
		stats := func(want string) {
			t.Helper()
			b, err := os.ReadFile(r.at(".stats"))
			r.ok(err)
			for line := range strings.Lines(string(b)) {
				if !regexp.MustCompile(`^[a-z_]+ (\S+|".*") [a-z]+\n$`).MatchString(line) {
					t.Errorf("not a name, a value and a unit: %q", line)
				}
			}
			if !regexp.MustCompile(`(?m)^` + want + `$`).Match(b) {
				t.Errorf("no %s in\n%s", want, b)
			}
		}
		stats(`held 0 bytes`)
		stats(`link up state`)
		stats(`dialect 9P2000\S* version`)
		stats(`msize [1-9]\d+ bytes`)
		stats(`sync unknown state`)
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.ok(f.Store(r.ctx, 0, []byte("one")))
		r.ok(f.Msync(r.ctx))
		stats(`sync yes state`)
		r.refuse(f, "two")
		stats(`held 4096 bytes`)
		stats(`failed 4096 bytes`)
		r.Proxy.Clear()
		if !r.plain() {
			r.rules("Tfsync reply=EOPNOTSUPP")
			r.ok(f.Msync(r.ctx))
			stats(`sync none state`)
		}
		r.lost()
		r.await("the loss to be told", func() bool {
			b, _ := os.ReadFile(r.at(".stats"))
			return bytes.Contains(b, []byte("link down state\n"))
		})
		r.heal()
	}, "--retry-interval", "1h")
}

func TestMagicFilesHideTheServersAndCanBeCalledOtherwise(t *testing.T) {
	servers(t, func(r *rig) {
		r.ok(os.Mkdir(filepath.Join(r.Dir, "d"), 0o755))
		for _, name := range []string{".errors", "d/.errors", "d/.ctl"} {
			r.put(name, []byte("the server's"))
		}
		for range 3 {
			l, err := os.ReadDir(r.at("d"))
			if err != nil || len(l) != 1 || l[0].Name() != ".ctl" {
				t.Errorf("listed: %v, %v", l, err)
			}
			if b, err := os.ReadFile(r.at("d/.errors")); err != nil || len(b) > 0 {
				t.Errorf("%q, %v", b, err)
			}
		}
		if b, err := os.ReadFile(r.at("d/.ctl")); err != nil || string(b) != "the server's" {
			t.Errorf("magic at the root only: %q, %v", b, err)
		}
		if n := strings.Count(r.Stderr(), "file=/d/.errors"); n != 1 {
			t.Errorf("%d lines say so:\n%s", n, r.Stderr())
		}
		m := p9test.Mount(t, "", p9test.On(r.Server), p9test.Flags("--magic-prefix", ".p9-"))
		if b, err := os.ReadFile(filepath.Join(m.Path, ".errors")); err != nil || string(b) != "the server's" {
			t.Errorf("with another prefix: %q, %v", b, err)
		}
		if b, err := os.ReadFile(filepath.Join(m.Path, "d/.p9-errors")); err != nil || len(b) > 0 {
			t.Errorf("with another prefix: %q, %v", b, err)
		}
		for _, words := range [][]string{{"errors", m.Path}, {"sync", filepath.Join(m.Path, "d")}} {
			if got := r.p9mapfs(words...); got.status != 0 {
				t.Errorf("%v: %+v", words, got)
			}
		}
	})
}

func TestCtlWaitsEndWithTheirCaller(t *testing.T) {
	r := newRig(t, p9test.Embedded)
	r.put("f", make([]byte, 4096))
	f := r.mapped("f")
	r.ok(f.Store(r.ctx, 0, []byte("unsent")))
	r.lost()
	waiting := r.start(p9test.Binary(t), "sync", r.at("f"))
	r.await("bytes that wait", func() bool { return r.allIn(errjournal.Pending) })
	waiting.ends(syscall.SIGINT)
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	r.heal()
	r.ok(f.Msync(ctx))
}

func TestPromise06_DiscardTellsOnceAndShowsTheServersBytes(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", bytes.Repeat([]byte("s"), 8192))
		f, other := r.mapped("f"), r.open("f", "rw")
		r.refuse(f, "ours")
		r.ok(f.Store(r.ctx, 4096, []byte("only in the kernel")))
		got := r.p9mapfs("discard", r.at("f"))
		if got.status != 0 || !strings.HasSuffix(got.stdout, ": 8192 bytes of 1 file dropped\n") {
			t.Errorf("discard: %+v", got)
		}
		for _, off := range []int64{0, 4096} {
			if b, err := f.Load(r.ctx, off, 4); err != nil || string(b) != "ssss" {
				t.Errorf("the mapping has %q at %d, %v", b, off, err)
			}
		}
		for _, g := range []*p9test.File{f, other} {
			r.fails(g.Fsync(r.ctx), syscall.EIO)
			r.ok(g.Fsync(r.ctx))
		}
		if !r.allIn(errjournal.Dropped) || !strings.Contains(r.journalText(), "sum=crc32c:") {
			t.Errorf("%s", r.journalText())
		}
		r.Proxy.Clear()
		r.ok(r.open("f", "rw").Fsync(r.ctx))
		r.serverHas("f", 0, bytes.Repeat([]byte("s"), 8192))
	}, "--retry-interval", "1h")
}
