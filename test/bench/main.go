// Bench measures what the way through FUSE, cache and mapping costs, beside a reader that has none of them: package raw. It
// prints one Markdown table and writes it to test/bench/RESULTS.md, with the machine and the versions.
//
//	go run ./test/bench [-rounds 5] [-size 268435456] [-o FILE]
//
// Each row compares A, a page touched by page through a mapping of a fresh mount, with B, the raw reader with the window that
// suits it best. They run in turns, A B A B, over one server; the table has medians, and the least and the most beside them.
// The server's file is in the page cache of its machine, which is this one: what is measured is the way, not the disk.
//
// # Limits
//
// Linux with FUSE, diod and git; root, or fusermount3. Everything runs on one machine and shares its cores. CPU is read
// from /proc in steps of 10 ms. Stores are not measured: package raw does not write, so there is nothing to compare with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	rounds := flag.Int("rounds", 5, "measurements of each side of a row")
	size := flag.Int64("size", 256<<20, "`bytes` of the file")
	out := flag.String("o", "test/bench/RESULTS.md", "`file` for the results")
	flag.Parse()
	if *rounds < 1 || *size < pageSize {
		return fmt.Errorf("-rounds %d -size %d: too few", *rounds, *size)
	}
	dir, err := os.MkdirTemp("", "p9bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, rounds: *rounds}
	if err := b.build(ctx); err != nil {
		return err
	}
	if err := b.makeFile(*size); err != nil {
		return err
	}
	report := describe(ctx)
	var rows []row
	for _, start := range []func(context.Context) (*server, error){b.startDiod, b.startEmbedded} {
		s, err := start(ctx)
		if err != nil {
			return err
		}
		r, err := b.scan(ctx, s)
		s.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	report += table(rows, *rounds, *size)
	fmt.Print(report)
	return os.WriteFile(*out, []byte(report), 0o644)
}

// A bench is what all rows share.
type bench struct {
	dir    string // holds the programs, and what follows
	rounds int
	export string // directory with the file
	size   int64
	sum    uint64 // of the first bytes of its pages
}

const (
	fileName = "big"
	pageSize = 4096
)

func (b *bench) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", b.dir+"/", "./cmd/p9mapfs", "./test/maphelper")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

func (b *bench) program(name string) string { return filepath.Join(b.dir, name) }
