package export

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// TestDefaultACLStands: with one the kernel does not use the umask, so nothing is
// to be given back, and "as asked" is what the ACL leaves of it.
func TestDefaultACLStands(t *testing.T) {
	dir := t.TempDir()
	acl := u32s(2) // POSIX_ACL_XATTR_VERSION; then tag[2] perm[2] id[4]
	for _, e := range [][2]uint16{{0x01, 7}, {0x04, 5}, {0x20, 0}} {
		acl = le.AppendUint16(le.AppendUint16(acl, e[0]), e[1])
		acl = append(acl, u32s(0xffffffff)...)
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", acl, 0); err != nil {
		t.Skipf("the file system of %s keeps no ACLs: %v", dir, err)
	}
	root := raw(t, dir, Options{})
	f, _, _, err := walk(t, root).Create("f", p9.ReadWrite, 0o666, p9.NoUID, p9.NoGID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkMode(t, filepath.Join(dir, "f"), unix.S_IFREG|0o640)
	if _, err := root.Mkdir("d", 0o777, p9.NoUID, p9.NoGID); err != nil {
		t.Fatal(err)
	}
	checkMode(t, filepath.Join(dir, "d"), unix.S_IFDIR|0o750)
}

// TestAppendOnlyFileSaysSo: chattr +a is QTAPPEND, and is written at its end.
func TestAppendOnlyFileSaysSo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	mustWrite(t, path, "one ")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const appendFlag = 0x20 // FS_APPEND_FL
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, appendFlag); err != nil {
		t.Skipf("chattr +a needs root and a file system that can: %v", err)
	}
	defer unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
	log := walk(t, raw(t, dir, Options{}), "log")
	qid, _, err := log.Open(p9.WriteOnly)
	if err != nil || qid.Type != p9.TypeAppendOnly {
		t.Fatalf("open: %+v %v", qid, err)
	}
	if _, err := log.WriteAt([]byte("two"), 0); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "one two" {
		t.Errorf("%q", got)
	}
	wantErrno(t, "truncate", log.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{}), linux.EPERM)
}
