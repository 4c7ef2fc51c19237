package fusefs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// tuneKernel raises what the kernel reads ahead on this mount, and how much
// mapped dirty memory it lets wait. Only root may; otherwise things are as they
// are.
func tuneKernel(dir string, kib int, log *slog.Logger) {
	// The device number only, which the kernel knows without asking us.
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_DONT_SYNC, 0, &st); err != nil {
		return
	}
	bdi := fmt.Sprintf("/sys/class/bdi/%d:%d", st.Dev_major, st.Dev_minor)
	for _, knob := range []struct {
		name  string
		value int
	}{{"read_ahead_kb", kib}, {"strict_limit", 0}, {"max_ratio", 100}} {
		if err := os.WriteFile(filepath.Join(bdi, knob.name), []byte(strconv.Itoa(knob.value)), 0); err != nil {
			log.Info("the kernel's limits for this mount stay as they are", "err", err)
			return
		}
	}
}
