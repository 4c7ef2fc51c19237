// Package p9test gives a test a real p9mapfs mount: it builds the program, starts a 9P server over a directory,
// mounts it through FUSE, and cleans everything up when the test ends.
//
//	func TestMine(t *testing.T) {
//		m := p9test.Mount(t, t.TempDir())
//		err := os.WriteFile(filepath.Join(m.Path, "hello"), []byte("world"), 0o644)
//		...
//	}
//
// Other modules may import it (with a replace directive for module p9mapfs): the commands are built, with the module's
// own go.sum, on the first use, and kept in the user's cache directory. p9mapfs is built with -race if the test
// binary is. $P9MAPFS_BIN, $P9MAPHELPER_BIN, $LEGACY9P_BIN and $FORGETFUL_BIN name ready binaries
// instead.
//
// # Where FUSE cannot be had
//
// Mount skips the test with one reason: /dev/fuse missing, or no permission to mount (in a container: --device /dev/fuse
// --cap-add SYS_ADMIN). With P9TEST_MUST=1 in the environment it fails instead; so it does for a missing diod.
//
// # Servers that need namespaces of their own
//
// Kind Ganesha listens on every address of the network and writes to /run; it starts only in a test that called Isolated, which
// runs it in a child process with network and mount namespaces of its own. That needs root.
//
// # Mapping
//
// A test must not map files of the mount in its own process, even if another process serves it: a page
// fault that hangs takes the test's scheduler with it, and the test can no longer report. StartHelper runs a child process
// that maps files on command.
//
// # How it ends
//
// Cleanup heals the proxy, lets a paused server go on, sends the daemon SIGTERM and waits. A daemon that does
// not end is made to print its goroutines (SIGQUIT), its connection is aborted, the mount detached and the process
// killed, by its process id; the test then fails. It also fails if the daemon said "DATA RACE" or "panic:",
// or exited with a status that was not allowed. What the children said on stderr is logged if the test failed.
//
// # Limits
//
// Linux only. Children get SIGTERM when the thread that started them ends: do not lock threads
// and abandon them (runtime.LockOSThread) in a test binary that uses this package.
package p9test
