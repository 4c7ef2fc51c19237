package test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"p9mapfs/test/p9test"
)

func TestMountOtherClientsChangeIsSeenAtTheNextOpen(t *testing.T) {
	servers(t, func(r *rig) {
		other := p9test.Mount(r.t, r.Dir, p9test.On(r.Server))
		here, there := filepath.Join(r.Path, "f"), filepath.Join(other.Path, "f")
		reads := func(path, want string) {
			r.t.Helper()
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				r.t.Errorf("read %d bytes %.20q, %v; want %d bytes %.20q", len(got), got, err, len(want), want)
			}
		}
		// Changed by somebody who is not on 9P: mapped and read here, at the next open.
		r.put("f", bytes.Repeat([]byte("a"), 10_000))
		for _, c := range []string{"a", "b", "c"} {
			text := strings.Repeat(c, 10_000)
			r.put("f", []byte(text))
			f := r.open("f", "r")
			r.ok(f.Map(r.ctx, 0, 0, "ro"))
			if b, err := f.Load(r.ctx, 5000, 1); err != nil || string(b) != c {
				r.t.Errorf("opened after the change, the mapping has %q, %v; want %q", b, err, c)
			}
			r.ok(f.Close(r.ctx))
			r.ok(f.Unmap(r.ctx))
			reads(here, text)
		}
		// Changed by two mounts in turns, with fsync. Each has read it before the other changes it.
		for i, text := range []string{"first", "other", "a longer text", "short", strings.Repeat("x", 70_000), ""} {
			w, at := here, there
			if i%2 == 1 {
				w, at = at, w
			}
			if _, err := os.ReadFile(at); err != nil {
				r.t.Fatal(err)
			}
			r.ok(writeSynced(w, text))
			reads(at, text)
			reads(w, text)
		}
	})
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// What this mount wrote and closed without fsync is acknowledged by the server,
// and nothing of it is dirty: it must not hide what others write later.
func TestMountOtherClientsChangeIsSeenOverClosedFiles(t *testing.T) {
	servers(t, func(r *rig) {
		at := filepath.Join(r.Path, "f")
		r.ok(os.WriteFile(at, []byte("first"), 0o644))
		r.put("f", []byte("other text"))
		if got, err := os.ReadFile(at); err != nil || string(got) != "other text" {
			r.t.Errorf("the server has \"other text\", the mount reads %q, %v", got, err)
		}
	})
}

// Nor may a reconnect, however much later, send it again over what others wrote.
func TestMountReconnectSparesWhatOthersWroteOverClosedFiles(t *testing.T) {
	servers(t, func(r *rig) {
		r.ok(os.WriteFile(filepath.Join(r.Path, "f"), []byte("first"), 0o644))
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		defer cancel()
		if err := r.Proxy.WaitCount(ctx, r.said("Rfsync"), 1); err != nil {
			r.t.Errorf("a file that nobody has open is never synced, so its bytes are held for ever: %v", err)
		}
		r.put("f", []byte("other text"))
		r.lost()
		r.heal()
		f := r.open("f", "rw")
		r.ok(f.Fsync(r.ctx)) // now everything held has been sent
		r.serverHas("f", 0, []byte("other text"))
	})
}
