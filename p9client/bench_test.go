package p9client_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hugelgupf/p9/fsimpl/templatefs"
	"github.com/hugelgupf/p9/p9"

	"p9mapfs/p9client"
)

const benchSize = 16 << 20 // of the file that is read and written

// A memFile is the root of a server, a file in memory.
type memFile struct {
	templatefs.NoopFile
	data []byte
}

func (f *memFile) Attach() (p9.File, error) { return f, nil }
func (f *memFile) Walk(names []string) ([]p9.QID, p9.File, error) {
	return nil, f, nil
}
func (f *memFile) GetAttr(p9.AttrMask) (p9.QID, p9.AttrMask, p9.Attr, error) {
	return p9.QID{}, p9.AttrMask{Mode: true, Size: true}, p9.Attr{Mode: p9.ModeRegular | 0600, Size: benchSize}, nil
}
func (f *memFile) Close() error { return nil }
func (f *memFile) Open(p9.OpenFlags) (p9.QID, uint32, error) {
	return p9.QID{}, 0, nil
}
func (f *memFile) ReadAt(p []byte, off int64) (int, error)  { return copy(p, f.data[off:]), nil }
func (f *memFile) WriteAt(p []byte, off int64) (int, error) { return copy(f.data[off:], p), nil }

// memoryEnv makes the test binary a server on the unix socket that it names.
const memoryEnv = "P9CLIENT_TEST_SERVE"

// startMemory serves a memFile over a unix socket with hugelgupf's server core, in
// a process of its own: what is measured is the client.
func startMemory(t testing.TB) (path string) {
	path = filepath.Join(t.TempDir(), "9p")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), memoryEnv+"="+path)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	up, err := cmd.StdoutPipe()
	check(t, err)
	runtime.LockOSThread() // Pdeathsig is of the thread
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); runtime.UnlockOSThread() })
	if _, err := up.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveMemory is that process.
func serveMemory(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("\n")
	panic(p9.NewServer(&memFile{data: make([]byte, benchSize)}).Serve(l))
}

// A transfer reads or writes p at off.
type transfer func(p []byte, off int64) (int, error)

// benchmark runs transfers of several sizes, with several in flight.
func benchmark(b *testing.B, name string, op transfer) {
	for _, size := range []int{8 << 10, 64 << 10, 1 << 20} {
		for _, flight := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%dKiB/%d", name, size>>10, flight), func(b *testing.B) {
				bufs := make([][]byte, flight)
				for i := range bufs {
					bufs[i] = make([]byte, size)
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				cpu := cpuTime()
				var next atomic.Int64
				var wg sync.WaitGroup
				for _, p := range bufs {
					wg.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							if n, err := op(p, i*int64(size)%benchSize); n != size {
								b.Error(n, err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// cpuTime returns what the process has used, also in the kernel, in nanoseconds.
// It says more than the time on the clock when the machine does other work.
func cpuTime() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// peers runs a benchmark against each server, and with hugelgupf's client beside
// ours where that works: not on diod, which refuses the dialect it asks for.
func peers(b *testing.B, ours func(ctx context.Context, f *p9client.Fid) transfer, theirs func(p9.File) transfer) {
	ctx := b.Context()
	path := startMemory(b)

	s, err := p9client.Dial(ctx, p9client.Address{Network: "unix", Addr: path}, p9client.Options{})
	check(b, err)
	defer s.Close()
	f, err := s.Root().Walk(ctx)
	check(b, err)
	defer f.Clunk()
	check(b, f.Open(ctx, syscall.O_RDWR))
	benchmark(b, "memory/p9client", ours(ctx, f))

	nc, err := net.Dial("unix", path)
	check(b, err)
	defer nc.Close()
	c, err := p9.NewClient(nc, p9.WithMessageSize(1<<20+24))
	check(b, err)
	root, err := c.Attach("/")
	check(b, err)
	_, g, err := root.Walk(nil)
	check(b, err)
	_, _, err = g.Open(p9.ReadWrite)
	check(b, err)
	benchmark(b, "memory/hugelgupf", theirs(g))

	_, s, _ = startDiod(b, p9client.Options{})
	f, err = s.Root().Create(ctx, "f", syscall.O_RDWR, 0600, 0)
	check(b, err)
	defer f.Clunk()
	_, err = f.WriteAt(ctx, make([]byte, benchSize), 0)
	check(b, err)
	benchmark(b, "diod/p9client", ours(ctx, f))
}

func BenchmarkTread(b *testing.B) {
	peers(b, func(ctx context.Context, f *p9client.Fid) transfer {
		return func(p []byte, off int64) (int, error) { return f.ReadAt(ctx, p, off) }
	}, func(f p9.File) transfer { return f.ReadAt })
}

func BenchmarkTwrite(b *testing.B) {
	peers(b, func(ctx context.Context, f *p9client.Fid) transfer {
		return func(p []byte, off int64) (int, error) { return f.WriteAt(ctx, p, off) }
	}, func(f p9.File) transfer { return f.WriteAt })
}

// A ReadAt of many Treads, as on servers with small messages.
func BenchmarkTreadsOfOneReadAt(b *testing.B) {
	ctx := b.Context()
	path := startMemory(b)
	_, diod, _ := startDiod(b, p9client.Options{Msize: 8192 + 24})
	mem, err := p9client.Dial(ctx, p9client.Address{Network: "unix", Addr: path}, p9client.Options{Msize: 8192 + 24})
	check(b, err)
	defer mem.Close()
	g, err := diod.Root().Create(ctx, "f", syscall.O_RDWR, 0600, 0)
	check(b, err)
	_, err = g.WriteAt(ctx, make([]byte, benchSize), 0)
	check(b, err)
	f, err := mem.Root().Walk(ctx)
	check(b, err)
	check(b, f.Open(ctx, syscall.O_RDWR))
	for name, f := range map[string]*p9client.Fid{"memory": f, "diod": g} {
		for _, size := range []int{128 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				p := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				cpu := cpuTime()
				for i := range b.N {
					if n, err := f.ReadAt(ctx, p, int64(i)*int64(size)%benchSize); n != size {
						b.Fatal(n, err)
					}
				}
				b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			})
		}
		f.Clunk()
	}
}
