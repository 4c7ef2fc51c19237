package test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"p9mapfs/rescue"
	"p9mapfs/test/p9test"
	"p9mapfs/test/p9test/pattern"
)

// rescueFiles lists the rescue files that the mount has left.
func (r *rig) rescueFiles() []string {
	r.t.Helper()
	l, err := filepath.Glob(filepath.Join(r.RescueDir, "*.rescue"))
	r.ok(err)
	return l
}

// rescueFile wants one, and that the daemon has said its name.
func (r *rig) rescueFile() string {
	r.t.Helper()
	l := r.rescueFiles()
	if len(l) != 1 || !strings.Contains(r.Stderr(), "p9mapfs rescue "+l[0]) {
		r.t.Fatalf("rescue files %v; the daemon says:\n%s", l, r.Stderr())
	}
	return l[0]
}

// nothingLeft wants the rescue directory to be empty: no file, and no note.
func (r *rig) nothingLeft() {
	r.t.Helper()
	l, err := os.ReadDir(r.RescueDir)
	r.ok(err)
	if len(l) > 0 {
		r.t.Errorf("left in the rescue directory: %v\n%s", l, r.Stderr())
	}
}

// ends waits for the daemon to end with a status.
func (r *rig) ends(want int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
	defer cancel()
	if status, err := r.Wait(ctx); err != nil || status != want {
		r.t.Fatalf("exit status %d, %v, want %d:\n%s", status, err, want, r.Stderr())
	}
}

// resident maps a file and touches its pages, so that no store needs the server later.
func (r *rig) resident(name string, size int) *p9test.File {
	r.t.Helper()
	f := r.mapped(name)
	_, err := f.Go("touch", 0, size, 4096).Wait(r.ctx)
	r.ok(err)
	return f
}

// signalled ends the daemon with SIGTERM while it cannot send everything.
func (r *rig) signalled() {
	r.t.Helper()
	r.Signal(syscall.SIGTERM)
	r.ends(3)
}

// rescue runs p9mapfs rescue, on the server itself, and wants an exit status.
func (r *rig) rescue(status int, words ...string) ran {
	r.t.Helper()
	got := run(r.t, nil, append([]string{p9test.Binary(r.t), "rescue"}, append(words, r.Server.Address())...)...)
	if got.status != status {
		r.t.Fatalf("rescue: exit status %d, want %d:\n%s%s", got.status, status, got.stdout, got.stderr)
	}
	return got
}

func (r *rig) rescueSays(got ran, want string) {
	r.t.Helper()
	if all := got.stdout + got.stderr; !regexp.MustCompile(want).MatchString(all) {
		r.t.Errorf("rescue does not say %q:\n%s", want, all)
	}
}

func TestPromise14_BytesThatAreLeftAreRescuedAndSentLater(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 1<<20))
		r.put("g", []byte("as it was"))
		f := r.resident("f", 1<<20)
		g := r.open("g", "rw")
		r.lost()
		r.ok(f.Fill(r.ctx, 0, 300<<10, 1)) // in the kernel only, and it stays mapped
		_, err := g.Pwrite(r.ctx, 3, []byte("it is now, and longer"))
		r.ok(err)
		r.signalled()
		r.serverHas("f", 0, make([]byte, 1<<20))
		r.serverHas("g", 0, []byte("as it was"))
		file := r.rescueFile()
		if st, err := os.Stat(file); err != nil || st.Mode() != 0o600 {
			r.t.Errorf("mode %v, %v", st.Mode(), err)
		}
		r.rescueSays(r.rescue(3, "--dry-run", file), `(?s)f: would be sent: 300 KiB\n.*g: would be sent: 21 B\n`)
		r.serverHas("g", 0, []byte("as it was"))
		r.rescueSays(r.rescue(0, file), `(?s)f: sent: 300 KiB\n.*g: sent: 21 B\n.*removed`)
		r.serverHas("f", 0, append(pattern.Bytes(0, 300<<10, 1), make([]byte, 1<<20-300<<10)...))
		r.serverHas("g", 0, []byte("as it is now, and longer"))
		r.nothingLeft()
	})
}

func TestPromise14_TruncationsAreRescued(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", []byte("old contents"))
		f := r.open("f", "rw")
		r.ok(f.Truncate(r.ctx, 3))
		r.rules("Tfsync reply=EIO")
		_, err := f.Pwrite(r.ctx, 5, []byte("new"))
		r.ok(err)
		r.fails(f.Fsync(r.ctx), syscall.EIO)
		r.signalled()
		r.put("f", []byte("old co")) // the server had not synced, and kept some of it
		r.rescueSays(r.rescue(0, r.rescueFile()), `f: sent: 3 B, \d truncation`)
		if b, err := os.ReadFile(filepath.Join(r.Dir, "f")); err != nil || string(b) != "old\x00\x00new" {
			r.t.Errorf("%q, %v", b, err)
		}
	})
}

func TestPromise14_RefusedBytesAreRescued(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.mapped("f")
		r.rules("Twrite reply=ENOSPC")
		r.ok(f.Fill(r.ctx, 0, 64<<10, 2))
		r.fails(f.Msync(r.ctx), syscall.ENOSPC)
		r.signalled()
		r.rescue(0, r.rescueFile())
		r.serverHas("f", 0, pattern.Bytes(0, 64<<10, 2))
		r.nothingLeft()
	})
}

func TestPromise14_RescueRefusesAFileThatSomebodyElseChanged(t *testing.T) {
	servers(t, func(r *rig) {
		for _, name := range []string{"changed", "replaced", "gone", "same"} {
			r.put(name, []byte("before"))
		}
		var open []*p9test.File
		for _, name := range []string{"changed", "replaced", "gone", "same"} {
			f := r.open(name, "rw")
			_, err := f.Size(r.ctx)
			r.ok(err)
			open = append(open, f)
		}
		r.lost()
		for _, f := range open {
			_, err := f.Pwrite(r.ctx, 0, []byte("OURS"))
			r.ok(err)
		}
		r.signalled()
		path := func(name string) string { return filepath.Join(r.Dir, name) }
		r.put("changed", []byte("theirs")) // of the same size
		r.ok(os.Chtimes(path("changed"), time.Time{}, time.Now().Add(time.Hour)))
		r.put("x", []byte("other one"))
		r.ok(os.Rename(path("x"), path("replaced")))
		r.ok(os.Remove(path("gone")))
		file := r.rescueFile()
		got := r.rescue(3, file)
		r.rescueSays(got, `changed: refused \(4 B\): changed since by somebody else`)
		r.rescueSays(got, `replaced: refused \(4 B\): another file has this name now`)
		r.rescueSays(got, `gone: failed \(4 B\): .*make an empty file`)
		r.rescueSays(got, `same: sent: 4 B\n`)
		r.serverHas("changed", 0, []byte("theirs"))
		r.serverHas("replaced", 0, []byte("other one"))
		r.serverHas("same", 0, []byte("OURSre"))

		r.put("same", []byte("newer!")) // it was sent: the next run leaves it alone
		r.put("gone", nil)
		r.rescue(0, "--overwrite", file)
		r.serverHas("changed", 0, []byte("OURSrs"))
		r.serverHas("replaced", 0, []byte("OURSr one"))
		r.serverHas("gone", 0, []byte("OURS"))
		r.serverHas("same", 0, []byte("newer!"))
		r.nothingLeft()
	})
}

func TestPromise14_WhatIsWholeOfATornRescueFileIsSent(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.open("f", "rw")
		r.lost()
		for _, off := range []int64{0, 8192} {
			_, err := f.Pwrite(r.ctx, off, pattern.Bytes(off, 4096, 3))
			r.ok(err)
		}
		r.signalled()
		file := r.rescueFile()
		st, err := os.Stat(file)
		r.ok(err)
		r.ok(os.Truncate(file, st.Size()-1000)) // the end, and some of the second extent
		got := r.rescue(3, file)
		r.rescueSays(got, `it is damaged`)
		r.rescueSays(got, `f: sent: 4.0 KiB, 1 pieces are missing`)
		r.serverHas("f", 0, pattern.Bytes(0, 4096, 3))
		r.serverHas("f", 8192, make([]byte, 4096))
		r.rescueFile() // it is still there
	})
}

// The rescue file is there before anything is sent, and until everything was.
func TestPromise14_RescueFileIsThereWhileTheDaemonSendsAndNotLonger(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.mapped("f")
		r.rules("Twrite hold")
		r.ok(f.Store(r.ctx, 0, []byte("stored")))
		r.Signal(syscall.SIGTERM)
		r.await("a rescue file, and a Twrite", func() bool { return len(r.rescueFiles()) == 1 && r.Proxy.Held() > 0 })
		got := r.rescue(1, r.rescueFiles()[0])
		r.rescueSays(got, "locked: the mount that wrote it is still sending")
		r.Proxy.Release()
		r.ends(0)
		r.serverHas("f", 0, []byte("stored"))
		r.nothingLeft()
	}, "--exit-timeout", "40s")
}

// Who cannot wait and kills the daemon that is still sending has the rescue file.
func TestPromise14_DaemonKilledWhileItSendsHasLeftTheRescueFile(t *testing.T) {
	p9test.RequireFUSE(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	m := p9test.Mount(t, t.TempDir(), p9test.OverTCP(), p9test.Through(), p9test.Flags("--exit-timeout", "50s"), p9test.AllowExit(-1))
	r := &rig{Mounted: m, Helper: p9test.StartHelper(t), t: t, ctx: ctx}
	r.put("f", make([]byte, 4096))
	f := r.resident("f", 4096)
	r.lost()
	r.ok(f.Store(ctx, 0, []byte("stored")))
	r.Signal(syscall.SIGTERM)
	r.await("a rescue file", func() bool { return len(r.rescueFiles()) == 1 })
	r.Signal(syscall.SIGKILL)
	r.ends(-1)
	r.ok(exec.Command("umount", "-l", m.Path).Run())
	r.rescueSays(r.rescue(0, r.rescueFiles()[0]), `written while programs could still store`)
	r.serverHas("f", 0, []byte("stored"))
}

func TestPromise14_NoRoomForTheRescueFileIsSaid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("p9test", dir, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	r := newRig(t, p9test.Embedded, "--rescue-dir", dir)
	r.put("f", make([]byte, 1<<20))
	f := r.resident("f", 1<<20)
	r.lost()
	r.ok(f.Fill(r.ctx, 0, 1<<20, 1))
	r.signalled()
	said := r.Stderr()
	if !strings.Contains(said, "cannot write the rescue file") || !strings.Contains(said, "which are lost") || !strings.Contains(said, "no space left on device") {
		t.Errorf("the daemon says:\n%s", said)
	}
	if l, err := os.ReadDir(dir); err != nil || len(l) > 0 {
		t.Errorf("left: %v, %v", l, err)
	}
}

func TestPromise14_RescueDirIsTriedAtMount(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p9test.TryMount(t, t.TempDir(), p9test.Flags("--rescue-dir", filepath.Join(file, "below")), p9test.AllowExit(1))
	if err == nil || !strings.Contains(err.Error(), "--rescue-dir: cannot write there") {
		t.Errorf("%v", err)
	}
}

func TestPromise14_LazyUnmountRescuesWhenTheLastUserIsGone(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 64<<10))
		f := r.resident("f", 64<<10)
		r.lost()
		r.ok(exec.Command("umount", "-l", r.Path).Run())
		r.ok(f.Fill(r.ctx, 0, 64<<10, 1))
		r.ok(r.Helper.Exit(r.ctx, 0))
		r.ends(3)
		r.rescue(0, r.rescueFile())
		r.serverHas("f", 0, pattern.Bytes(0, 64<<10, 1))
		r.nothingLeft()
	}, "--close-timeout", "300ms")
}

// unmount runs p9mapfs unmount.
func (r *rig) unmount(words ...string) ran {
	r.t.Helper()
	return run(r.t, nil, append([]string{p9test.Binary(r.t), "unmount"}, append(words, r.Path)...)...)
}

func TestPromise14_UnmountWaitsUntilTheServerHasEverything(t *testing.T) {
	servers(t, func(r *rig) {
		r.ok(os.WriteFile(filepath.Join(r.Path, "f"), []byte("stored"), 0o644))
		if got := r.unmount("--rescue-dir", r.RescueDir); got != (ran{}) {
			r.t.Fatalf("%+v", got)
		}
		if l := mountsBelow(r.t, r.Path); len(l) > 0 {
			r.t.Errorf("still mounted: %v", l)
		}
		r.serverHas("f", 0, []byte("stored"))
		r.ends(0)
		r.nothingLeft()
	})
}

func TestPromise14_UnmountPassesOnThatSomethingIsLeft(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.open("f", "rw")
		r.lost()
		_, err := f.Pwrite(r.ctx, 0, []byte("stored"))
		r.ok(err)
		r.fails(f.Close(r.ctx), syscall.ETIMEDOUT)
		got := r.unmount("--rescue-dir", r.RescueDir)
		r.ends(3)
		file := r.rescueFile()
		if got.status != 3 || !strings.Contains(got.stderr, "p9mapfs rescue "+file) {
			r.t.Errorf("%+v", got)
		}
		if !strings.Contains(r.Stderr(), "they are in "+file+" until it has them") {
			r.t.Errorf("there was no rescue file while the daemon went on sending:\n%s", r.Stderr())
		}
		r.rescue(0, file)
		r.serverHas("f", 0, []byte("stored"))
		r.nothingLeft()
	}, "--close-timeout", "300ms")
}

func TestPromise14_UnmountOfABusyMountSaysWhatToDo(t *testing.T) {
	r := newRig(t, p9test.Embedded)
	r.put("f", make([]byte, 4096))
	f := r.mapped("f")
	got := r.unmount("--rescue-dir", r.RescueDir)
	if got.status != 1 || !strings.Contains(got.stderr, "is busy") || !strings.Contains(got.stderr, "fuser -vm "+r.Path) {
		t.Errorf("%+v", got)
	}
	r.ok(f.Store(r.ctx, 0, []byte("stored"))) // it is still there
	r.ok(f.Msync(r.ctx))
	r.serverHas("f", 0, []byte("stored"))
}

func TestPromise14_UnmountThatDoesNotKnowSaysSo(t *testing.T) {
	r := newRig(t, p9test.Embedded)
	got := r.unmount("--rescue-dir", t.TempDir())
	if got.status != 1 || !strings.Contains(got.stderr, "is unmounted, but whether the server has everything is not known") {
		t.Errorf("%+v", got)
	}
	r.ends(0)
	if got := r.unmount(); got.status != 1 || !strings.Contains(got.stderr, "there is no p9mapfs mount on "+r.Path) {
		t.Errorf("%+v", got)
	}
}

// Whoever can write a rescue file must not have this user run a command.
func TestRescueRunsACommandOnlyIfItIsNamed(t *testing.T) {
	dir := t.TempDir()
	file, ran := filepath.Join(dir, "x.rescue"), filepath.Join(dir, "ran")
	saved, err := rescue.Save(file, rescue.Mount{Address: "exec!touch " + ran}, slices.Values([]rescue.File{{Meta: rescue.Meta{Path: "f"}}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := saved.Close(); err != nil {
		t.Fatal(err)
	}
	got := run(t, nil, p9test.Binary(t), "rescue", file)
	if got.status != 2 || !strings.Contains(got.stderr, "only used if it is given here") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the command was run: %v", err)
	}
}
