package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table is one Markdown table of all rows.
func table(rows []row, rounds int, size int64) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%d bytes, %d rounds in turns; medians, least and most in brackets. Ratio: of the medians of MB/s (10^6 bytes).\n\n", size, rounds)
	fmt.Fprintln(&w, "| what | mapped MB/s | raw MB/s | ratio | daemon CPU s | raw CPU s | raw window |")
	fmt.Fprintln(&w, "|---|---|---|---|---|---|---|")
	speed := func(s sample) float64 { return float64(size) / 1e6 / s.took.Seconds() }
	cpu := func(s sample) float64 { return s.cpu.Seconds() }
	for _, r := range rows {
		fmt.Fprintf(&w, "| %s | %s | %s | %.2f | %s | %s | %d |\n", r.name,
			spread(r.mapped, speed, 0), spread(r.raw, speed, 0), median(r.mapped, speed)/median(r.raw, speed),
			spread(r.mapped, cpu, 2), spread(r.raw, cpu, 2), r.window)
	}
	return w.String()
}

func values(l []sample, of func(sample) float64) []float64 {
	var v []float64
	for _, s := range l {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return v
}

func median(l []sample, of func(sample) float64) float64 {
	v := values(l, of)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func spread(l []sample, of func(sample) float64, digits int) string {
	v := values(l, of)
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, median(l, of), digits, v[0], digits, v[len(v)-1])
}

// describe tells what was measured where.
func describe(ctx context.Context) string {
	var w strings.Builder
	fmt.Fprintln(&w, "# Benchmark\n\nWritten by `make bench`; see the comment of test/bench for what is compared. Stores are left out: the raw\nreader does not write, so there is nothing to compare them with.")
	fmt.Fprintln(&w)
	for _, x := range []struct{ name, value string }{
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"CPU", fmt.Sprintf("%s, %d cores", cpuModel(), runtime.NumCPU())},
		{"kernel", first(ctx, "uname", "-sr")},
		{"Go", runtime.Version()},
		{"diod", first(ctx, "dpkg-query", "-W", "-f", "${Version}", "diod")},
		{"commit", first(ctx, "git", "describe", "--always", "--dirty")},
		{"load averages before", first(ctx, "cut", "-d", " ", "-f1-3", "/proc/loadavg") + " (above 0.1: others used the machine, and the figures are lower than they might be)"},
	} {
		fmt.Fprintf(&w, "- %s: %s\n", x.name, x.value)
	}
	fmt.Fprintln(&w)
	return w.String()
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for l := bufio.NewScanner(f); l.Scan(); {
		if name, value, ok := strings.Cut(l.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// first is the first line that a program prints.
func first(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}
