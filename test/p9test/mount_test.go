package p9test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"p9mapfs/test/p9test/pattern"
)

// forEachServer runs f with every kind of server, directly and through a proxy.
func forEachServer(t *testing.T, f func(t *testing.T, opts ...Option)) {
	for name, opts := range map[string][]Option{
		"embedded":               nil,
		"embedded through proxy": {OverTCP(), Through()},
		"diod":                   {WithServer(Diod)},
		"diod through proxy":     {WithServer(Diod), Through()},
	} {
		t.Run(name, func(t *testing.T) { f(t, opts...) })
	}
}

func TestMountShowsTheDirectoryAndUnmountsWithStatusZero(t *testing.T) {
	forEachServer(t, func(t *testing.T, opts ...Option) {
		m := Mount(t, t.TempDir(), opts...)
		if err := os.WriteFile(filepath.Join(m.Path, "hello"), []byte("world"), 0o644); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(m.Dir, "hello")); err != nil || string(b) != "world" {
			t.Errorf("on the server: %q, %v", b, err)
		}
		if m.Proxy != nil && m.Proxy.Count("Twrite") == 0 {
			t.Error("the Twrite went past the proxy")
		}
		if status := m.Unmount(); status != 0 {
			t.Errorf("status %d", status)
		}
	})
}

func TestStoresThroughAMappingReachTheServer(t *testing.T) {
	forEachServer(t, func(t *testing.T, opts ...Option) {
		const size = 3<<20 + 100
		m := Mount(t, t.TempDir(), opts...)
		data := pattern.Bytes(0, size, 5)
		if err := os.WriteFile(filepath.Join(m.Dir, "f"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		h, ctx := StartHelper(t), within(t, 60*time.Second)
		f, err := h.Open(ctx, filepath.Join(m.Path, "f"), "rw")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Map(ctx, 0, 0); err != nil {
			t.Fatal(err)
		}
		if sum, err := f.SHA256(ctx, 0, size); err != nil || sum != fmt.Sprintf("%x", sha256.Sum256(data)) {
			t.Errorf("sha256 %s, %v", sum, err)
		}
		for _, err := range []error{f.Fill(ctx, 5000, 1<<20, 6), f.Msync(ctx), f.Unmap(ctx), f.Close(ctx)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		pattern.Fill(data[5000:5000+1<<20], 5000, 6)
		if got, err := os.ReadFile(filepath.Join(m.Dir, "f")); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the server's file differs (%v)", err)
		}
	})
}
