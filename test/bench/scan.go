package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"p9mapfs/test/bench/rawread/raw"
)

// hang is how long a touch of the whole file may take.
const hang = 5 * time.Minute

// A sample is one measurement of one side.
type sample struct {
	took time.Duration
	cpu  time.Duration // of the daemon that mounts, or of the raw reader
}

// A row compares two ways to the same bytes.
type row struct {
	name   string
	window int // of the raw reader, Treads in flight
	mapped []sample
	raw    []sample
}

// scan measures a sequential touch of every page of the file against the raw reader.
func (b *bench) scan(ctx context.Context, s *server) (row, error) {
	r := row{name: "mmap, sequential touch, cold, " + s.name}
	best := time.Duration(0)
	for range 2 {
		for _, window := range []int{2, 4, 8, 16, 32, 64} {
			x, err := b.readRaw(ctx, s, window)
			if err != nil {
				return r, err
			}
			if best == 0 || x.took < best {
				best, r.window = x.took, window
			}
		}
	}
	for range b.rounds {
		x, err := b.touchMapped(ctx, s)
		if err != nil {
			return r, err
		}
		r.mapped = append(r.mapped, x)
		if x, err = b.readRaw(ctx, s, r.window); err != nil {
			return r, err
		}
		r.raw = append(r.raw, x)
		fmt.Fprintf(os.Stderr, "%s: %v, raw %v\n", r.name, r.mapped[len(r.mapped)-1].took, x.took)
	}
	return r, nil
}

func (b *bench) readRaw(ctx context.Context, s *server, window int) (sample, error) {
	r, err := raw.Read(ctx, raw.Options{Network: "tcp", Addr: s.addr, Aname: s.aname, Uname: "root", Path: fileName, Msize: 1 << 20, Window: window})
	if err == nil && r.Bytes != b.size {
		err = fmt.Errorf("the raw reader got %d bytes of %d", r.Bytes, b.size)
	}
	return sample{r.Elapsed, r.CPU}, err
}

// touchMapped mounts afresh, so that neither the kernel nor the daemon has any of the file, and lets a child load a byte of
// every page.
func (b *bench) touchMapped(ctx context.Context, s *server) (x sample, err error) {
	mnt := filepath.Join(b.dir, "mnt")
	if err := os.MkdirAll(mnt, 0o755); err != nil {
		return x, err
	}
	// Not CommandContext: killed, it could not unmount.
	daemon, err := start(ctx, exec.Command(b.program("p9mapfs"), "mount", "--aname", s.aname, "--uname", "root", s.address(), mnt), "p9mapfs: mounted ")
	if err != nil {
		return x, err
	}
	defer func() {
		daemon.stop()
		_ = unix.Unmount(mnt, unix.MNT_DETACH) // if it had to be killed
	}()
	before, err := daemon.cpu()
	if err != nil {
		return x, err
	}
	if x.took, err = b.touch(ctx, filepath.Join(mnt, fileName)); err != nil {
		return x, err
	}
	after, err := daemon.cpu()
	x.cpu = after - before
	return x, err
}

// touch lets maphelper touch every page of path, and returns how long that took.
func (b *bench) touch(ctx context.Context, path string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.program("maphelper"))
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { in.Close(); _ = cmd.Wait() }() // before cancel
	answers := bufio.NewReader(out)
	var sum uint64
	var us int64
	for _, c := range []struct {
		command, answer string
		values          []any
	}{
		{fmt.Sprintf("open 0 %q r", path), "ok", nil},
		{"map 0 0 0 ro", "ok", nil},
		{fmt.Sprintf("time touch 0 0 %d %d", b.size, pageSize), "ok %d us=%d", []any{&sum, &us}},
	} {
		if _, err := fmt.Fprintln(in, c.command); err != nil {
			return 0, err
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			return 0, fmt.Errorf("maphelper: %s: %w", c.command, err)
		}
		if _, err := fmt.Sscanf(line, c.answer, c.values...); err != nil {
			return 0, fmt.Errorf("maphelper: %s: %q", c.command, line)
		}
	}
	if sum != b.sum {
		return 0, fmt.Errorf("the pages of %s add up to %d, want %d", path, sum, b.sum)
	}
	return time.Duration(us) * time.Microsecond, nil
}
