package p9test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"p9mapfs/test/p9test/pattern"
)

func TestHelperMapsStoresAndReadsBack(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	path := filepath.Join(t.TempDir(), `with "quotes" and spaces`)
	f, err := h.Open(ctx, path, "rw,creat,excl")
	if err != nil {
		t.Fatal(err)
	}
	const size = 3<<20 + 77
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(f.Truncate(ctx, size))
	check(f.Map(ctx, 0, 0))
	check(f.Fill(ctx, 0, size, 42))
	check(f.Msync(ctx))
	check(f.Fsync(ctx))
	want := pattern.Bytes(0, size, 42)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the file differs: %v", err)
	}
	check(f.Check(ctx, 0, size, 42))
	if got, err := f.SHA256(ctx, 0, size); err != nil || got != fmt.Sprintf("%x", sha256.Sum256(want)) {
		t.Errorf("sha256 %s, %v", got, err)
	}
	if got, err := f.Load(ctx, 4090, 20); err != nil || !bytes.Equal(got, want[4090:4110]) {
		t.Errorf("load % x, %v", got, err)
	}
	check(f.Store(ctx, 5, []byte{want[5] + 1}))
	if err := f.Check(ctx, 0, size, 42); err == nil || !strings.Contains(err.Error(), "off=0x5 ") {
		t.Errorf("check of a wrong byte: %v", err)
	}
	if n, err := f.Pwrite(ctx, 5, want[5:6]); n != 1 || err != nil {
		t.Errorf("pwrite: %d, %v", n, err)
	}
	for _, cmd := range []string{"pcheck 0 0 3145805 42", "pfill 0 100 100 1", "pcheck 0 100 100 1", "check 0 100 100 1", "fdatasync 0",
		"madvise 0 random", "touchrandom 0 100 1", "msync 0 5000 10 async", "msync 0 invalidate", "unmap 0",
		"map 0 4096 4096 ro private", "check 0 4096 4096 42", "unmap 0"} {
		if _, err := h.Do(ctx, cmd); err != nil {
			t.Error(err)
		}
	}
	if got, err := h.Do(ctx, "psha256 0 200 300"); err != nil || got != fmt.Sprintf("%x", sha256.Sum256(want[200:500])) {
		t.Errorf("psha256 %s, %v", got, err)
	}
	if n, err := f.Size(ctx); n != size || err != nil {
		t.Errorf("size %d, %v", n, err)
	}
	if got, err := h.Do(ctx, "read 0 3"); err != nil || got != fmt.Sprintf("%x", want[:3]) {
		t.Errorf("read %s, %v", got, err)
	}
	if got, err := h.Do(ctx, "write 0 0102"); err != nil || got != "2" {
		t.Errorf("write %s, %v", got, err)
	}
	check(f.Close(ctx))
}

func TestHelperTouchSumsTheBytesAtItsStride(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	path := filepath.Join(t.TempDir(), "f")
	data := pattern.Bytes(0, 20000, 9)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := h.Open(ctx, path, "r")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Map(ctx, 0, 0, "ro"); err != nil {
		t.Fatal(err)
	}
	want := 0
	for i := 10; i < 19010; i += 4096 {
		want += int(data[i])
	}
	if got, err := h.Do(ctx, "touch 0 10 19000 4096"); err != nil || got != fmt.Sprint(want) {
		t.Errorf("%s, %v, want %d", got, err, want)
	}
}

func TestHelperErrorsAreTyped(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	dir := t.TempDir()
	f, err := h.Open(ctx, filepath.Join(dir, "f"), "rw,creat")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{f.Truncate(ctx, 20000), f.Map(ctx, 0, 0), f.Truncate(ctx, 8192)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var bus *SIGBUS
	for name, err := range map[string]error{
		"store":  f.Store(ctx, 8200, []byte("x")),
		"fill":   f.Fill(ctx, 0, 20000, 1),
		"check":  f.Check(ctx, 8192, 10, 1),
		"sha256": func() error { _, err := f.SHA256(ctx, 0, 20000); return err }(),
		"load":   func() error { _, err := f.Load(ctx, 4096, 15000); return err }(),
		"touch":  f.do(ctx, "touch", 0, 20000, 1),
	} {
		if !errors.Is(err, ErrSIGBUS) || !errors.As(err, &bus) || bus.Off < 8192 || bus.Off >= 8192+4096 {
			t.Errorf("%s: %v, want SIGBUS in the page at 0x2000", name, err)
		}
	}
	if err := f.Check(ctx, 0, 8192, 1); err != nil {
		t.Errorf("the pages before the fault: %v", err)
	}
	for _, cmd := range []string{"explode 0", "load 0 0", "load 0 x 1", "load 0 0 99999", "load 7 0 1", "open 0 x r", "open 3 x q",
		`open 3 "x r`, "close 9999", "madvise 0 wisely", "msync 0 1", "touch 0 0 1 0", "pread 0 0 99999999", "store 0 0 zz", "exist"} {
		if got, err := h.Do(ctx, cmd); err == nil || errors.As(err, new(syscall.Errno)) {
			t.Errorf("%s: %q, %v", cmd, got, err)
		}
	}
	if _, err := h.Open(ctx, filepath.Join(dir, "none"), "r"); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
	if _, err := h.Do(ctx, "getxattr 0 user.none"); !errors.Is(err, syscall.ENODATA) && !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Error(err)
	}
}

func TestHelperTimesCommands(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	if got, err := h.Do(ctx, "time open 0 /dev/null r"); err != nil || !regexp.MustCompile(`^us=\d+$`).MatchString(got) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := h.Do(ctx, "time truncate 0 1"); !errors.Is(err, syscall.EINVAL) || !strings.Contains(got, "us=") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHelperSlotsDoNotWaitForEachOther(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	hang := h.Go("open 0 " + fifo + " r")
	behind := h.Go("size 0")
	if _, err := h.Do(ctx, "open 1 /dev/null r"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := hang.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open of a fifo without a writer: %v", err)
	}
	if _, err := h.Do(ctx, "open 2 "+fifo+" w"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Call{hang, behind} {
		if _, err := c.Wait(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestKilledHelperAnswersEverythingWithAnError(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	hang := h.Go("open 0 " + fifo + " r")
	if !h.Kill() {
		t.Fatal("it survives")
	}
	if _, err := hang.Wait(ctx); !errors.Is(err, ErrHelperEnded) {
		t.Error(err)
	}
	if _, err := h.Do(ctx, "size 0"); !errors.Is(err, ErrHelperEnded) {
		t.Error(err)
	}
}

func TestHelperExitsWithItsMappings(t *testing.T) {
	h, ctx := StartHelper(t), within(t, 20*time.Second)
	path := filepath.Join(t.TempDir(), "f")
	f, err := h.Open(ctx, path, "rw,creat")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{f.Truncate(ctx, 100), f.Map(ctx, 0, 0), f.Close(ctx), f.Store(ctx, 0, []byte("hello")), h.Exit(ctx, 3)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b[:5]) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}
