package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

var kinds = []p9test.Kind{p9test.Embedded, p9test.Diod}

func TestMount256MiBReadThroughAMapping(t *testing.T) {
	const size = 256 << 20
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	b := pattern.Bytes(0, 1<<20, 11)
	for off := int64(0); off < size; off += 1 << 20 {
		binary.BigEndian.PutUint64(b[off>>8:], uint64(off)) // no MiB is as another
		sum.Write(b)
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			m := p9test.Mount(t, dir, p9test.WithServer(kind))
			g, err := p9test.StartHelper(t).Open(t.Context(), filepath.Join(m.Path, "big"), "r")
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Map(t.Context(), 0, 0, "ro"); err != nil {
				t.Fatal(err)
			}
			got, err := g.SHA256(t.Context(), 0, size)
			if err != nil || got != hex.EncodeToString(sum.Sum(nil)) {
				t.Errorf("sha256 %s, %v; want %x", got, err, sum.Sum(nil))
			}
			if st, err := os.Stat(filepath.Join(m.Path, "big")); err != nil || st.Size() != size {
				t.Errorf("%v, %v", st, err)
			}
		})
	}
}

func TestMountStoresOfTwoProgramsMeetAndArrive(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 3<<20))
		one := r.mapped("f")
		other, err := p9test.StartHelper(r.t).Open(r.ctx, filepath.Join(r.Path, "f"), "rw")
		r.ok(err)
		r.ok(other.Map(r.ctx, 0, 0))
		for i := range 8 { // in turns, on the same pages and the same bytes
			a, b := one, other
			if i%2 == 1 {
				a, b = b, a
			}
			off := int64(i) * 100_000
			want := fmt.Appendf(nil, "turn %d", i)
			r.ok(a.Store(r.ctx, off, want))
			if got, err := b.Load(r.ctx, off, len(want)); err != nil || !bytes.Equal(got, want) {
				r.t.Errorf("stored %q, the other program has %q, %v", want, got, err)
			}
			r.ok(a.Store(r.ctx, 1<<20, want))
			if got, err := b.Load(r.ctx, 1<<20, len(want)); err != nil || !bytes.Equal(got, want) {
				r.t.Errorf("stored %q over the same bytes, the other program has %q, %v", want, got, err)
			}
		}
		r.ok(one.Fill(r.ctx, 2<<20, 512<<10, 1))
		r.ok(other.Fill(r.ctx, 2<<20+512<<10, 512<<10, 1))
		r.ok(one.Msync(r.ctx)) // also what the other stored
		r.serverHas("f", 2<<20, pattern.Bytes(2<<20, 1<<20, 1))
		r.serverHas("f", 1<<20, []byte("turn 7"))
	})
}

func TestMountReadOnlyRefusesEveryChange(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"f": "text", "g": "more"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := p9test.StartServer(t, dir)
	readOnly := p9test.StartServer(t, dir, p9test.ServeFlags("--read-only"))
	for name, m := range map[string]*p9test.Mounted{
		"mount": p9test.Mount(t, "", p9test.On(s), p9test.Flags("--read-only")),
		"serve": p9test.Mount(t, "", p9test.On(readOnly)),
	} {
		at := func(name string) string { return filepath.Join(m.Path, name) }
		for what, err := range map[string]error{
			"write":   os.WriteFile(at("f"), nil, 0o644),
			"create":  os.WriteFile(at("new"), nil, 0o644),
			"mkdir":   os.Mkdir(at("d"), 0o755),
			"remove":  os.Remove(at("f")),
			"rename":  os.Rename(at("f"), at("x")),
			"link":    os.Link(at("f"), at("x")),
			"symlink": os.Symlink("f", at("x")),
			"chmod":   os.Chmod(at("f"), 0o600),
			"chtimes": os.Chtimes(at("f"), time.Unix(1, 0), time.Unix(1, 0)),
			"cut":     os.Truncate(at("f"), 1),
		} {
			if !isErrno(err, syscall.EROFS) {
				t.Errorf("%s --read-only: %s: %v", name, what, err)
			}
		}
		if b, err := os.ReadFile(at("f")); err != nil || string(b) != "text" {
			t.Errorf("%s --read-only: read %q, %v", name, b, err)
		}
		f, err := p9test.StartHelper(t).Open(t.Context(), at("g"), "r")
		if err == nil {
			err = f.Map(t.Context(), 0, 0, "ro")
		}
		if err == nil {
			_, err = f.Load(t.Context(), 0, 4)
		}
		if err != nil {
			t.Errorf("%s --read-only: mapping to read: %v", name, err)
		}
	}
	if l, err := os.ReadDir(dir); err != nil || len(l) != 2 {
		t.Errorf("the server has %v, %v", l, err)
	}
}

func isErrno(err error, errno syscall.Errno) bool {
	return err != nil && strings.HasSuffix(err.Error(), errno.Error())
}

// endings are the ways to end a mount in good order.
var endings = map[string]func(m *p9test.Mounted) error{
	"SIGTERM":        func(m *p9test.Mounted) error { m.Signal(syscall.SIGTERM); return nil },
	"SIGINT":         func(m *p9test.Mounted) error { m.Signal(syscall.SIGINT); return nil },
	"SIGHUP":         func(m *p9test.Mounted) error { m.Signal(syscall.SIGHUP); return nil },
	"umount":         func(m *p9test.Mounted) error { return exec.Command("umount", m.Path).Run() },
	"umount -l":      func(m *p9test.Mounted) error { return exec.Command("umount", "-l", m.Path).Run() },
	"fusermount3 -u": func(m *p9test.Mounted) error { return exec.Command("fusermount3", "-u", m.Path).Run() },
}

func TestUnmountLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s := p9test.StartServer(t, dir)
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			m := p9test.Mount(t, "", p9test.On(s))
			data := pattern.Bytes(0, 3<<20, 2)
			if err := os.WriteFile(filepath.Join(m.Path, "f"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			h := p9test.StartHelper(t)
			f, err := h.Open(t.Context(), filepath.Join(m.Path, "f"), "rw")
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Map(t.Context(), 0, 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Fill(t.Context(), 0, 1<<20, 3); err != nil {
				t.Fatal(err)
			}
			if err := h.Exit(t.Context(), 0); err != nil { // without msync
				t.Fatal(err)
			}
			if err := end(m); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if status, err := m.Wait(ctx); err != nil || status != 0 {
				t.Errorf("exit status %d, %v:\n%s", status, err, m.Stderr())
			}
			if l := mountsBelow(t, m.Path); len(l) > 0 {
				t.Errorf("left mounted: %v", l)
			}
			if l := mentioning(t, m.Path); len(l) > 0 {
				t.Errorf("processes left: %v", l)
			}
			copy(data, pattern.Bytes(0, 1<<20, 3))
			if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the server's file is not what was stored: %d bytes, %v", len(got), err)
			}
			left, err := os.ReadDir(tmp)
			if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(m.Path) { // which the harness removes
				t.Errorf("left in the temporary directory: %v, %v", left, err)
			}
		})
	}
}

func TestUnmountWithUnsentBytesSaysHowMuch(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", pattern.Bytes(0, 3<<20, 0))
		f := r.mapped("f")
		r.ok(f.Check(r.ctx, 0, 3<<20, 0)) // the pages are there before the server goes
		r.Server.Kill()
		r.ok(f.Fill(r.ctx, 0, 1<<20, 1))
		r.ok(f.Unmap(r.ctx)) // the kernel sends the stores to the daemon
		_ = f.Close(r.ctx)   // it has its own verdict
		if status := r.Unmount(); status != 3 {
			r.t.Errorf("exit status %d with 1 MiB unsent", status)
		}
		if !strings.Contains(r.Stderr(), "p9mapfs: ended with 1.0 MiB of 1 file that the server did not take") {
			r.t.Errorf("it says:\n%s", r.Stderr())
		}
		if l := mountsBelow(t, r.Path); len(l) > 0 {
			r.t.Errorf("left mounted: %v", l)
		}
	}, "--hold-timeout", "300ms", "--close-timeout", "300ms", "--exit-timeout", "1s")
}

func TestMountOpenAndForgetLeaksNoFid(t *testing.T) {
	servers(t, func(r *rig) {
		const names = 25
		for i := range names {
			r.put(fmt.Sprint("f", i), []byte("text"))
		}
		cycle := func() {
			for i := range names {
				at := filepath.Join(r.Path, fmt.Sprint("f", i))
				if b, err := os.ReadFile(at); err != nil || string(b) != "text" {
					r.t.Fatalf("%q, %v", b, err)
				}
				if _, err := os.ReadFile(at + "-none"); !os.IsNotExist(err) {
					r.t.Fatal(err)
				}
				f, err := os.OpenFile(at, os.O_RDWR, 0)
				r.ok(err)
				r.ok(f.Close())
			}
			if l, err := os.ReadDir(r.Path); err != nil || len(l) != names {
				r.t.Fatalf("%d names, %v", len(l), err)
			}
			r.ok(os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0)) // the kernel forgets
		}
		if os.Geteuid() != 0 {
			t.Skip("only root can make the kernel forget")
		}
		// Every successful walk makes one fid; a failed one none. Twalkgetattr has the number of Twstat.
		balance := func() int {
			return r.Proxy.Count("Rwalk") + r.Proxy.Count("Rwstat") - r.Proxy.Count("Tclunk") - r.Proxy.Count("Tremove")
		}
		before := balance()
		for range 3 {
			cycle()
			// What the kernel has forgotten is closed a moment later.
			r.await("the fids of forgotten files to be clunked", func() bool { return balance() <= before })
		}
		if n := r.Proxy.Count("Tclunk"); n < 3*names {
			r.t.Errorf("%d Tclunk only: this test looks at nothing", n)
		}
	})
}

func TestMountShowsStatfs(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			m := p9test.Mount(t, t.TempDir(), p9test.WithServer(kind))
			var here, there syscall.Statfs_t
			if err := syscall.Statfs(m.Path, &here); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Statfs(m.Dir, &there); err != nil {
				t.Fatal(err)
			}
			bytes := func(s syscall.Statfs_t) uint64 { return s.Blocks * uint64(s.Bsize) }
			if bytes(here) != bytes(there) || here.Files != there.Files {
				t.Errorf("%d bytes and %d files, the server has %d and %d", bytes(here), here.Files, bytes(there), there.Files)
			}
			if here.Namelen < 255 {
				t.Errorf("names of %d bytes", here.Namelen)
			}
		})
	}
}

func TestMountTruncatesUnderAMapping(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", pattern.Bytes(0, 64<<10, 4))
		f := r.mapped("f")
		r.ok(f.Check(r.ctx, 0, 64<<10, 4))
		r.ok(f.Truncate(r.ctx, 10_000))
		r.ok(f.Check(r.ctx, 0, 10_000, 4))
		if _, err := f.Load(r.ctx, 12<<10, 1); !errors.Is(err, p9test.ErrSIGBUS) {
			r.t.Errorf("a load behind the new end: %v", err)
		}
		r.ok(f.Truncate(r.ctx, 64<<10))
		if b, err := f.Load(r.ctx, 9_999, 50_000); err != nil || !bytes.Equal(b[1:], make([]byte, 49_999)) {
			r.t.Errorf("grown again it is not zero behind the old end: %v", err)
		}
		r.ok(f.Store(r.ctx, 40_000, []byte("again")))
		r.ok(f.Msync(r.ctx))
		r.serverHas("f", 0, pattern.Bytes(0, 10_000, 4))
		r.serverHas("f", 10_000, make([]byte, 30_000))
		r.serverHas("f", 40_000, []byte("again"))
	})
}

func TestMountHasAJournalInEveryDirectory(t *testing.T) {
	servers(t, func(r *rig) {
		r.ok(os.MkdirAll(filepath.Join(r.Dir, "d/e"), 0o755))
		for _, dir := range []string{"", "d", "d/e"} {
			path := filepath.Join(r.Path, dir)
			if b, err := os.ReadFile(filepath.Join(path, ".errors")); err != nil || len(b) > 0 {
				r.t.Errorf("%q: .errors reads %q, %v", dir, b, err)
			}
			l, err := os.ReadDir(path)
			r.ok(err)
			for _, e := range l {
				if e.Name() == ".errors" {
					r.t.Errorf("%q: .errors is listed", dir)
				}
			}
			for what, err := range map[string]error{
				"write":  os.WriteFile(filepath.Join(path, ".errors"), []byte("x"), 0o644),
				"remove": os.Remove(filepath.Join(path, ".errors")),
				"rename": os.Rename(filepath.Join(path, ".errors"), filepath.Join(path, "x")),
				"mkdir":  os.Mkdir(filepath.Join(path, ".errors"), 0o755),
			} {
				if err == nil {
					r.t.Errorf("%q: %s of .errors works", dir, what)
				}
			}
		}
		r.ok(os.Remove(filepath.Join(r.Path, "d/e"))) // a directory is empty in spite of it
	})
}
