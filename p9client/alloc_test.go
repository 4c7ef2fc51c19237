//go:build !race

package p9client_test

import (
	"fmt"
	"syscall"
	"testing"

	"p9mapfs/p9client"
)

// Reading and writing, of one message or many, allocates nothing. The race
// detector allocates itself, so make test runs this one once more without it.
func TestReadAtAndWriteAtAllocateNothing(t *testing.T) {
	ctx := t.Context()
	pinned := p9client.AtGeneration(ctx, 1)
	for _, msize := range []uint32{8192 + 24, 1<<20 + 24} {
		s, err := p9client.Dial(ctx, p9client.Address{Network: "unix", Addr: startMemory(t)}, p9client.Options{Msize: msize})
		check(t, err)
		defer s.Close()
		f, err := s.Root().Walk(ctx)
		check(t, err)
		defer f.Clunk()
		check(t, f.Open(ctx, syscall.O_RDWR))
		for name, op := range map[string]func(p []byte) (int, error){
			"ReadAt":                func(p []byte) (int, error) { return f.ReadAt(ctx, p, 4096) },
			"WriteAt":               func(p []byte) (int, error) { return f.WriteAt(ctx, p, 4096) },
			"WriteAt, AtGeneration": func(p []byte) (int, error) { return f.WriteAt(pinned, p, 4096) },
		} {
			for _, size := range []int{1, 8192, 1 << 20} {
				p := make([]byte, size)
				t.Run(fmt.Sprintf("%s of %d bytes, msize %d", name, size, msize), func(t *testing.T) {
					n := testing.AllocsPerRun(50, func() {
						if n, err := op(p); n != size || err != nil {
							t.Fatal(n, err)
						}
					})
					if n > 0 {
						t.Errorf("%v allocations", n)
					}
				})
			}
		}
	}
}
