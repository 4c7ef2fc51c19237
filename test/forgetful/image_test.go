package forgetful

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// platter is a disk in memory.
type platter struct{ data []byte }

func (d *platter) ReadAt(p []byte, off int64) (int, error) {
	return copy(p, d.data[min(off, int64(len(d.data))):]), nil
}

func (d *platter) WriteAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > int64(len(d.data)) {
		d.Resize(end)
	}
	return copy(d.data[off:], p), nil
}

func (d *platter) Size() (int64, error) { return int64(len(d.data)), nil }

func (d *platter) Resize(size int64) error {
	next := make([]byte, size)
	copy(next, d.data)
	d.data = next
	return nil
}

func (d *platter) SetModified(time.Time) error { return nil }

// TestReadersSeeTheNewestBytesAndTheDiskTheSyncedOnes runs random histories against two plain slices.
func TestReadersSeeTheNewestBytesAndTheDiskTheSyncedOnes(t *testing.T) {
	seed := rand.Uint64()
	for n := range uint64(200) {
		history(t, seed+n)
	}
}

func history(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	now := &platter{data: bytes.Repeat([]byte{1}, r.IntN(5*blockSize))}
	synced := bytes.Clone(now.data)
	d := &platter{data: bytes.Clone(now.data)}
	m := &image{disk: d}
	var did []string
	for range 40 {
		switch r.IntN(8) {
		case 0:
			if err := m.sync(func() {}); err != nil {
				t.Fatal(err)
			}
			synced = bytes.Clone(now.data)
			did = append(did, "sync")
		case 1: // as a crash does, and a failed Tfsync
			m.forget()
			now.data = bytes.Clone(synced)
			did = append(did, "forget")
		case 2, 3:
			size := r.Int64N(6 * blockSize)
			now.Resize(size)
			if err := m.Resize(size); err != nil {
				t.Fatal(err)
			}
			did = append(did, fmt.Sprint("resize ", size))
		default:
			p := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(2*blockSize)+1)
			off, at := r.Int64N(6*blockSize), int64(len(now.data))
			if r.IntN(4) == 0 {
				off = -1
			} else {
				at = off
			}
			now.WriteAt(p, at)
			if k, err := m.WriteAt(p, off); k != len(p) || err != nil {
				t.Fatal(k, err)
			}
			did = append(did, fmt.Sprintf("write %d at %d", len(p), at))
		}
		off := r.Int64N(7 * blockSize)
		got, want := make([]byte, 3*blockSize), make([]byte, 3*blockSize)
		k, err := m.ReadAt(got, off)
		l, _ := now.ReadAt(want, off)
		if err != nil || !bytes.Equal(got[:k], want[:l]) {
			t.Fatalf("seed %d: %q: read %d bytes at %d, %v; want %d", seed, did, k, off, err, l)
		}
		if size, _, _, ok := m.attributes(); ok && size != int64(len(now.data)) {
			t.Fatalf("seed %d: %q: size %d, want %d", seed, did, size, len(now.data))
		}
		if !bytes.Equal(d.data, synced) {
			t.Fatalf("seed %d: %q: the disk has other bytes than were synced", seed, did)
		}
	}
}

func TestHalfwayThroughASyncHalfOfTheBlocksAreThere(t *testing.T) {
	d := &platter{}
	m := &image{disk: d}
	if _, err := m.WriteAt(bytes.Repeat([]byte{7}, 4*blockSize), 0); err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Repeat([]byte{7}, 2*blockSize), make([]byte, 2*blockSize)...)
	called := 0
	err := m.sync(func() {
		called++
		if !bytes.Equal(d.data, want) {
			t.Error("the disk has something else")
		}
	})
	if called != 1 || err != nil {
		t.Errorf("called %d times, %v", called, err)
	}
}
