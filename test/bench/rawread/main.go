// Rawread reads a file over 9P2000.L, pipelined, with no cache and no FUSE, and prints how fast that was: the yardstick
// of the benchmarks. Package raw does the work.
//
//	rawread -aname /srv -window 32 tcp!127.0.0.1!564 big.bin
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"p9mapfs/test/bench/rawread/raw"
)

func main() {
	err := run()
	switch {
	case errors.Is(err, flag.ErrHelp), err == nil:
	case errors.Is(err, raw.ErrUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "rawread:", err)
		os.Exit(1)
	}
}

func run() error {
	var o raw.Options
	flag.IntVar(&o.Window, "window", 0, "Treads in flight (0: 32)")
	flag.IntVar(&o.Msize, "msize", 1<<20, "msize asked for, `bytes`")
	flag.IntVar(&o.Count, "count", 0, "`bytes` asked by a Tread (0: what msize allows)")
	flag.StringVar(&o.Aname, "aname", "", "what to attach to")
	flag.StringVar(&o.Uname, "uname", "root", "who attaches")
	flag.BoolVar(&o.SHA256, "sha256", false, "hash what was read")
	asJSON := flag.Bool("json", false, "print one JSON object a run")
	runs := flag.Int("runs", 1, "how often to read the file, each time over a new connection")
	flag.Parse()
	if flag.NArg() != 2 {
		return raw.ErrUsage
	}
	var err error
	if o.Network, o.Addr, err = raw.ParseAddress(flag.Arg(0)); err != nil {
		return err
	}
	o.Path = flag.Arg(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for range *runs {
		res, err := raw.Read(ctx, o)
		if err != nil {
			return err
		}
		if *asJSON {
			if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
				return err
			}
			continue
		}
		fmt.Printf("%.0f MB/s  %d bytes in %v, cpu %v, msize %d count %d window %d %s\n",
			res.MBps, res.Bytes, res.Elapsed.Round(1e4), res.CPU.Round(1e4), res.Msize, res.Count, res.Window, res.SHA256)
	}
	return nil
}
