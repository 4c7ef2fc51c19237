package export

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkVerbs measures one connection over a unix socket, with the messages
// made beforehand: what is left is the server, and the kernel's copies.
func BenchmarkVerbs(b *testing.B) {
	for _, size := range []uint32{4 << 10, 64 << 10, 1 << 20} {
		off := le.AppendUint64(u32s(1), 0)
		read := frame(tread, 0, append(off, u32s(size)...))
		write := frame(twrite, 0, append(append(off, u32s(size)...), make([]byte, size)...))
		for _, flight := range []int{1, 16} {
			b.Run(fmt.Sprintf("Tread/%dK/%d", size>>10, flight), func(b *testing.B) { pipeline(b, read, int64(size), flight) })
			b.Run(fmt.Sprintf("Twrite/%dK/%d", size>>10, flight), func(b *testing.B) { pipeline(b, write, int64(size), flight) })
		}
	}
	getattr := frame(tgetattr, 0, append(u32s(1), make([]byte, 8)...))
	for _, flight := range []int{1, 16} {
		b.Run(fmt.Sprintf("Tgetattr/%d", flight), func(b *testing.B) { pipeline(b, getattr, 0, flight) })
	}
}

// pipeline sends msg b.N times, flight of them ahead of the replies, to a
// connection where fid 1 is an open file of 1 MiB.
func pipeline(b *testing.B, msg []byte, size int64, flight int) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	_, sock := serve(b, dir, Options{})
	p := attached(b, sock, 1<<20+64)
	p.ok(twalk, walkBody(0, 1, "f"))
	p.ok(tlopen, u32s(1, 2))
	in := bufio.NewReaderSize(p.c, 64<<10)
	free := make(chan uint16, flight)
	for tag := range flight {
		free <- uint16(tag)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	cpu := cpuTime()
	b.ResetTimer()
	done := make(chan error, 1)
	go func() {
		for range b.N {
			var hb [headerSize]byte
			if _, err := io.ReadFull(in, hb[:]); err != nil {
				done <- err
				return
			}
			h := parseHeader(hb[:])
			if h.typ == rlerror {
				done <- fmt.Errorf("Rlerror")
				return
			}
			if _, err := in.Discard(int(h.size - headerSize)); err != nil {
				done <- err
				return
			}
			free <- h.tag
		}
		done <- nil
	}()
	for range b.N {
		le.PutUint16(msg[5:], <-free)
		if _, err := p.c.Write(msg); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used, in nanoseconds: both ends of the
// connection, and no matter what else the machine does.
func cpuTime() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
