package p9client

import "time"

// Bits of Qid.Type.
const (
	QTDIR     = 0x80
	QTAPPEND  = 0x40
	QTEXCL    = 0x20
	QTSYMLINK = 0x02
)

// A Qid is the server's identity of a file. Version grows when the file is
// modified, on servers that keep it; 0 means that the server keeps none.
type Qid struct {
	Type    uint8
	Version uint32
	Path    uint64
}

// same reports whether two qids are of the same file.
func (q Qid) same(r Qid) bool { return q.Path == r.Path && q.Type == r.Type }

// Bits of Attr.Valid, as in Rgetattr.
const (
	AttrMode = 1 << iota
	AttrNlink
	AttrUID
	AttrGID
	AttrRdev
	AttrAtime
	AttrMtime
	AttrCtime
	AttrIno
	AttrSize
	AttrBlocks
	AttrBtime
	AttrGen
	AttrDataVersion
	attrAll = 1<<iota - 1
)

// An Attr is an Rgetattr, or as much of one as the stat of an older dialect
// tells. What Valid does not name is zero, or the best guess.
type Attr struct {
	Valid               uint64
	Qid                 Qid
	Mode                uint32 // of stat(2), with the file type
	UID, GID            uint32
	Nlink               uint64
	Rdev                uint64
	Size                int64 // bytes
	Blksize, Blocks     uint64
	Atime, Mtime, Ctime time.Time
	Btime               time.Time
	Gen, DataVersion    uint64
	User, Group, Muid   string // 9P2000 and .u: the names that the server uses
}

// Bits of SetAttr.Valid, as in Tsetattr.
const (
	SetMode    = 1 << 0
	SetUID     = 1 << 1
	SetGID     = 1 << 2
	SetSize    = 1 << 3
	SetAtime   = 1 << 4 // to the server's time, unless SetAtimeTo is there
	SetMtime   = 1 << 5
	SetCtime   = 1 << 6
	SetAtimeTo = 1 << 7
	SetMtimeTo = 1 << 8
)

// SetAttr is a Tsetattr: the fields that Valid names.
type SetAttr struct {
	Valid        uint32
	Mode         uint32
	UID, GID     uint32
	Size         int64 // bytes
	Atime, Mtime time.Time
}

// A Dirent is an entry of a directory. Offset is where to go on after it.
type Dirent struct {
	Qid    Qid
	Offset uint64
	Type   uint8 // DT_* of readdir(3)
	Name   string
	Attr   *Attr // nil unless the dialect sends it along, as 9P2000 does
}

// StatFS is an Rstatfs.
type StatFS struct {
	Type, BlockSize               uint32
	Blocks, BlocksFree, BlocksAvl uint64
	Files, FilesFree              uint64
	FSID                          uint64
	NameLen                       uint32
}
