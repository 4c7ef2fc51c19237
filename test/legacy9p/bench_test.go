package legacy9p_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"9fans.net/go/plan9"
	"golang.org/x/sys/unix"

	"p9mapfs/test/legacy9p"
)

// BenchmarkTread is the server's speed, as far as a client shows it that decodes nothing and throws the data away.
func BenchmarkTread(b *testing.B) {
	const size = 64 << 20
	for _, msize := range []int{8216, 131096} {
		for _, window := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("msize=%d/window=%d", msize, window), func(b *testing.B) {
				dir, addr := start(b, legacy9p.Options{Msize: uint32(msize)})
				random(b, filepath.Join(dir, "f"), size)
				p := attached(b, addr, uint32(msize))
				p.open(1, plan9.OREAD, "f")
				b.SetBytes(size)
				before := cpuTime(b)
				for b.Loop() {
					check(b, discard(p.c, size, msize-24, window))
				}
				b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			})
		}
	}
}

// cpuTime is what server and client have used together; unlike the time, it bears other load on the machine.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// discard reads size bytes of fid 1 by Treads of count bytes, window of them in flight.
func discard(c io.ReadWriter, size, count, window int) error {
	request, err := tread(1, 0, uint32(count)).Bytes()
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(c, 256<<10)
	var out []byte
	next := 0
	ask := func(tag uint16) {
		if next < size {
			binary.LittleEndian.PutUint16(request[5:], tag)
			binary.LittleEndian.PutUint64(request[11:], uint64(next))
			out = append(out, request...)
			next += count
		}
	}
	for tag := range window {
		ask(uint16(tag))
	}
	for got := 0; got < size; {
		if in.Buffered() < 11 && len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		head, err := in.Peek(11)
		if err != nil {
			return err
		}
		if head[4] != plan9.Rread {
			return fmt.Errorf("reply of type %d", head[4])
		}
		n := int(binary.LittleEndian.Uint32(head[7:]))
		tag := binary.LittleEndian.Uint16(head[5:])
		if _, err := in.Discard(11 + n); err != nil {
			return err
		}
		got += n
		ask(tag)
	}
	return nil
}
