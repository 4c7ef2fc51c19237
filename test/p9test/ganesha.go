package p9test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"text/template"

	"golang.org/x/sys/unix"
)

// ganeshaTag is the export's Tag, which a 9P client gives as the aname.
const ganeshaTag = "data"

// ganeshaConfig makes ganesha a server of 9P alone that keeps nothing for itself: no grace period, no attributes older than the
// file. Its 9P listener knows no address, it listens everywhere. Its msize stays 65536: a Tread for more than 70000 bytes
// overruns a buffer and kills it.
var ganeshaConfig = template.Must(template.New("ganesha.conf").Parse(`
NFS_CORE_PARAM { Protocols = 9P; NFS_Port = 0; Enable_NLM = false; Enable_RQUOTA = false; }
NFSV4 { Graceless = true; RecoveryRoot = "{{.State}}"; }
_9P { _9P_TCP_Port = {{.Port}}; }
EXPORT_DEFAULTS { Squash = None; Protocols = 9P; Attr_Expiration_Time = 0; }
EXPORT { Export_Id = 1; Path = "{{.Dir}}"; Pseudo = "/data"; Tag = "{{.Tag}}"; Access_Type = RW; FSAL { Name = VFS; } }
LOG { Default_Log_Level = EVENT; }
`))

// startGanesha starts nfs-ganesha. Its state, pid file and log are in s.cwd. It makes /run/ganesha whatever its configuration says, and listens on every
// address: both are the child's own in an isolated test, so it starts in no other.
func (s *Server) startGanesha() (*process, error) {
	if os.Getenv(isolatedMark) == "" {
		return nil, fmt.Errorf("it listens on every address: start it below Isolated only")
	}
	path, err := exec.LookPath("ganesha.nfsd")
	if err != nil {
		missing(s.t, "nfs-ganesha is not installed (Debian packages nfs-ganesha, nfs-ganesha-vfs)")
	}
	if err := coverRun(); err != nil {
		return nil, err
	}
	conf := filepath.Join(s.cwd, "ganesha.conf")
	var text bytes.Buffer
	err = ganeshaConfig.Execute(&text, map[string]any{
		"Dir": s.Dir, "State": s.cwd, "Port": s.port.Number, "Tag": ganeshaTag,
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(conf, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-F", "-L", "STDERR", "-f", conf, "-p", filepath.Join(s.cwd, "pid"))
	cmd.Dir = s.cwd
	p, err := launch(cmd, "")
	if err != nil {
		return nil, err
	}
	return p, s.awaitListener(p)
}

// coverRun hides /run from what ganesha leaves there.
var coverRun = sync.OnceValue(func() error {
	return os.NewSyscallError("mount tmpfs on /run", unix.Mount("p9test", "/run", "tmpfs", 0, "mode=755,size=1m"))
})
