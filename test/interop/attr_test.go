package interop

import (
	"os"
	"syscall"
	"time"

	"p9mapfs/p9client"
)

// stamp is a time that no clock shows meanwhile; servers of seconds keep it too.
var stamp = time.Unix(1_234_567_890, 0)

var attrCases = []testCase{
	{name: "getattr says what the file is", verbs: "Tgetattr", run: func(r *rig) {
		r.put("file", "content")
		r.ok(os.Chmod(r.host("file"), 0o640))
		r.ok(os.Lchown(r.host("file"), 1, 2))
		r.ok(os.Chtimes(r.host("file"), stamp, stamp.Add(time.Hour)))
		r.ok(os.Mkdir(r.host("dir"), 0o711))
		for _, name := range []string{"file", "dir"} {
			a, st := r.attr(r.walk(name)), r.stat(name)
			if a.Mode != st.Mode || a.UID != st.Uid || a.GID != st.Gid {
				r.Errorf("%s: mode %o owner %d.%d, want %o %d.%d", name, a.Mode, a.UID, a.GID, st.Mode, st.Uid, st.Gid)
			}
			if a.Nlink != st.Nlink && !r.deviates(linkCounts) {
				r.Errorf("%s: %d links, want %d", name, a.Nlink, st.Nlink)
			}
			if name == "file" && (a.Blocks != uint64(st.Blocks)) != r.deviates(blockCounts) {
				r.Errorf("%s: %d blocks, want %d", name, a.Blocks, st.Blocks)
			}
			if name == "file" && a.Size != st.Size || a.Blksize == 0 {
				r.Errorf("%s: size %d, blocks of %d bytes, want %d", name, a.Size, a.Blksize, st.Size)
			}
			for what, t := range map[string][2]time.Time{
				"mtime": {a.Mtime, time.Unix(st.Mtim.Unix())}, "atime": {a.Atime, time.Unix(st.Atim.Unix())}, "ctime": {a.Ctime, time.Unix(st.Ctim.Unix())},
			} {
				if r.deviates(seconds) {
					if what == "ctime" {
						continue
					}
					t[1] = t[1].Truncate(time.Second)
				}
				if !t[0].Equal(t[1]) {
					r.Errorf("%s: %s %v, want %v", name, what, t[0], t[1])
				}
			}
		}
	}},
	{name: "setattr of the size alone", verbs: "Tsetattr", run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		r.ok(f.Truncate(r.ctx, 3))
		r.has("file", "con")
		r.ok(f.Truncate(r.ctx, 6))
		r.has("file", "con\x00\x00\x00")
		r.ok(f.Truncate(r.ctx, 6))
		r.ok(f.Truncate(r.ctx, 0))
		r.has("file", "")
		g := r.open("file", syscall.O_RDWR)
		r.write(g, "content", 0)
		r.ok(g.Truncate(r.ctx, 2))
		r.write(g, "!", 3)
		r.has("file", "co\x00!")
	}},
	{name: "setattr of an impossible size is refused", verbs: "Tsetattr", run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		r.wants(f.Truncate(r.ctx, -1), syscall.EINVAL, "truncate to a negative size")
		r.wants(f.Truncate(r.ctx, 1<<62), syscall.EFBIG, "truncate to 4 EiB")
		r.has("file", "content")
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.wants(r.walk("dir").Truncate(r.ctx, 0), syscall.EISDIR, "truncate of a directory")
	}},
	{name: "setattr of the mode alone", verbs: "Tsetattr", needs: chmod, run: func(r *rig) {
		r.put("file", "content")
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.setsModes(map[string][]uint32{"file": {0o604, 0, 0o777}, "dir": {0o700, 0o777}})
	}, refused: setOnly(p9client.SetAttr{Valid: p9client.SetMode, Mode: 0o600})},
	{name: "setattr of the setuid, setgid and sticky bits", verbs: "Tsetattr", needs: specialBits, run: func(r *rig) {
		r.put("file", "content")
		r.ok(os.Mkdir(r.host("dir"), 0o755))
		r.setsModes(map[string][]uint32{"file": {0o6755}, "dir": {0o1777, 0o2755}})
	}, refused: setOnly(p9client.SetAttr{Valid: p9client.SetMode, Mode: 0o4755})},
	{name: "setattr of the owner and of the group alone", verbs: "Tsetattr", needs: chown, run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		r.ok(f.SetAttr(r.ctx, p9client.SetAttr{Valid: p9client.SetUID, UID: 1234}))
		if st := r.stat("file"); st.Uid != 1234 || st.Gid != 0 {
			r.Errorf("owner %d.%d, want 1234.0", st.Uid, st.Gid)
		}
		r.ok(f.SetAttr(r.ctx, p9client.SetAttr{Valid: p9client.SetGID, GID: 2345}))
		if a := r.attr(f); a.UID != 1234 || a.GID != 2345 {
			r.Errorf("owner %d.%d, want 1234.2345", a.UID, a.GID)
		}
	}, refused: setOnly(p9client.SetAttr{Valid: p9client.SetUID, UID: 1234})},
	{name: "setattr of the time of modification alone, given and of the server's clock", verbs: "Tsetattr", needs: setTimes, run: func(r *rig) {
		r.setsTime(p9client.SetMtime, p9client.SetMtimeTo, func(st *syscall.Stat_t) (set, other syscall.Timespec) { return st.Mtim, st.Atim })
	}, refused: setOnly(p9client.SetAttr{Valid: p9client.SetMtime | p9client.SetMtimeTo, Mtime: stamp})},
	{name: "setattr of the time of access alone, given and of the server's clock", verbs: "Tsetattr", needs: setAtime, run: func(r *rig) {
		r.setsTime(p9client.SetAtime, p9client.SetAtimeTo, func(st *syscall.Stat_t) (set, other syscall.Timespec) { return st.Atim, st.Mtim })
	}, refused: setOnly(p9client.SetAttr{Valid: p9client.SetAtime | p9client.SetAtimeTo, Atime: stamp})},
	{name: "setattr of all together", verbs: "Tsetattr", needs: chown, run: func(r *rig) {
		r.put("file", "content")
		f := r.walk("file")
		all := p9client.SetAttr{
			Valid: p9client.SetMode | p9client.SetUID | p9client.SetGID | p9client.SetSize |
				p9client.SetAtime | p9client.SetAtimeTo | p9client.SetMtime | p9client.SetMtimeTo,
			Mode: 0o640, UID: 12, GID: 34, Size: 4, Atime: stamp, Mtime: stamp.Add(time.Minute),
		}
		for range 2 { // twice is the same as once
			r.ok(f.SetAttr(r.ctx, all))
			a := r.attr(f)
			if a.Mode != syscall.S_IFREG|0o640 || a.UID != 12 || a.GID != 34 || a.Size != 4 || !a.Atime.Equal(stamp) || !a.Mtime.Equal(stamp.Add(time.Minute)) {
				r.Errorf("attributes %+v, want %+v", a, all)
			}
		}
		r.has("file", "cont")
	}, refused: setOnly(p9client.SetAttr{Valid: p9client.SetMode | p9client.SetUID, Mode: 0o600, UID: 1234})},
	{name: "setattr of nothing changes nothing", verbs: "Tsetattr", run: func(r *rig) {
		r.put("file", "content")
		before := *r.stat("file")
		r.ok(r.walk("file").SetAttr(r.ctx, p9client.SetAttr{Mode: 0o777, UID: 5, Size: 1, Mtime: stamp}))
		after := *r.stat("file")
		before.Ctim, after.Ctim = syscall.Timespec{}, syscall.Timespec{}
		if before != after {
			r.Errorf("was %+v, is %+v", before, after)
		}
	}},
	{name: "a change shows in the attributes", verbs: "Tgetattr", run: func(r *rig) {
		r.put("file", "content")
		r.ok(os.Chtimes(r.host("file"), stamp, stamp))
		f := r.open("file", syscall.O_RDWR)
		before := r.attr(f)
		r.write(f, "more content", 0)
		after := r.attr(f)
		if after.Size != 12 || !after.Mtime.After(before.Mtime) || after.Ctime.Before(before.Ctime) {
			r.Errorf("was %+v, is %+v", before, after)
		}
	}},
	{name: "statfs says what the file system has", verbs: "Tstatfs", needs: statfs, run: func(r *rig) {
		var want syscall.Statfs_t
		r.ok(syscall.Statfs(r.dir, &want))
		got, err := r.top.StatFS(r.ctx)
		r.ok(err)
		size := func(blocks, unit uint64) uint64 { return blocks * unit }
		if size(got.Blocks, uint64(got.BlockSize)) != size(want.Blocks, uint64(want.Bsize)) || got.Files != want.Files || got.NameLen != uint32(want.Namelen) {
			r.Errorf("%+v, want %+v", got, want)
		}
		if got.BlocksFree > got.Blocks || got.BlocksAvl > got.Blocks || got.FilesFree > got.Files {
			r.Errorf("more free than there is: %+v", got)
		}
	}, refused: func(r *rig) func() error {
		return func() error { return ignore(r.top.StatFS(r.ctx)) }
	}},
}

func (r *rig) setsModes(modes map[string][]uint32) {
	r.Helper()
	for name, modes := range modes {
		f := r.walk(name)
		for _, mode := range modes {
			before := r.stat(name)
			r.ok(f.SetAttr(r.ctx, p9client.SetAttr{Valid: p9client.SetMode, Mode: mode}))
			st := r.stat(name)
			if st.Mode&0o7777 != mode || r.attr(f).Mode != st.Mode {
				r.Errorf("%s: asked for mode %o, is %o, told as %o", name, mode, st.Mode, r.attr(f).Mode)
			}
			if st.Mtim != before.Mtim || st.Size != before.Size || st.Uid != before.Uid {
				r.Errorf("%s: more than the mode changed: %+v, %+v", name, before, st)
			}
		}
	}
}

// setsTime sets one of the times of files, open and not; of tells it from the other.
func (r *rig) setsTime(set, to uint32, of func(*syscall.Stat_t) (set, other syscall.Timespec)) {
	r.Helper()
	for name, open := range map[string]bool{"open": true, "walked": false} {
		r.put(name, "content")
		r.ok(os.Chtimes(r.host(name), stamp.Add(time.Hour), stamp.Add(time.Hour)))
		f := r.walk(name)
		if open {
			r.ok(f.Open(r.ctx, syscall.O_RDWR))
		}
		r.ok(f.SetAttr(r.ctx, p9client.SetAttr{Valid: set | to, Mtime: stamp, Atime: stamp}))
		got, other := of(r.stat(name))
		if got.Sec != stamp.Unix() || other.Sec != stamp.Unix()+3600 {
			r.Errorf("%s: %d, the other time %d, want %d and an hour later", name, got.Sec, other.Sec, stamp.Unix())
		}
		r.ok(f.SetAttr(r.ctx, p9client.SetAttr{Valid: set}))
		got, other = of(r.stat(name))
		if d := time.Since(time.Unix(got.Unix())); d < -time.Minute || d > time.Hour || other.Sec != stamp.Unix()+3600 {
			r.Errorf("%s: it is %v ago, want now; the other time %d", name, d, other.Sec)
		}
	}
}

// setOnly attempts to set attributes of a file.
func setOnly(a p9client.SetAttr) func(r *rig) func() error {
	return func(r *rig) func() error {
		r.put("file", "content")
		f := r.walk("file")
		return func() error { return f.SetAttr(r.ctx, a) }
	}
}
