package rescue

import "fmt"

// A Verdict is whether a file may be sent.
type Verdict int

const (
	Unchanged Verdict = iota // the file is as the mount knew it
	Ours                     // changed, which the mount's own writes, or an earlier run, explain
	Changed                  // somebody else has changed it, or that cannot be told
	Replaced                 // another file has the name
)

// A Found is a file on the server.
type Found struct {
	QidPath uint64
	QidType uint8
	Attr
}

// typeBits are those bits of a qid's type that do not change as long as it is the
// same file: QTAPPEND and QTEXCL are modes.
const typeBits = ^uint8(0x40 | 0x20)

// Judge compares a file of a rescue file with what is on the server, and says why.
// live is the rescue file's: newer stores may have been sent.
func (e *Entry) Judge(live bool, f Found) (v Verdict, why string) {
	known, sent := e.Known, e.Sent
	if e.Sending != nil { // an earlier run had looked, and then began to send
		known, sent, live = *e.Sending, true, false
	}
	switch {
	case f.QidPath != e.QidPath || f.QidType&typeBits != e.QidType&typeBits:
		return Replaced, "another file has this name now (its qid is another)"
	case !known.Set:
		return Changed, "whether somebody has changed it cannot be told: the mount never saw its attributes"
	case f.Ctime.Before(known.Ctime):
		return Replaced, "older than what the mount saw: another file, or the server has lost in a crash what it had acknowledged"
	case known.Same(f.Attr):
		return Unchanged, ""
	case live:
		return Changed, "changed since, by somebody else, or by the mount itself, which was killed while programs could still store"
	case !sent:
		return Changed, fmt.Sprintf("changed since by somebody else (%s)", difference(known, f.Attr))
	}
	if least, most := e.sizes(known.Size); f.Size < least || f.Size > most {
		return Changed, fmt.Sprintf("changed since by somebody else: it has %d bytes, and the mount's own writes leave it between %d and %d", f.Size, least, most)
	}
	return Ours, ""
}

// sizes is which sizes the mount's own writes can have given the file.
func (e *Entry) sizes(known int64) (least, most int64) {
	least, most = known, max(known, e.Grown)
	for _, size := range e.Truncations {
		least, most = min(least, size), max(most, size)
	}
	for _, x := range e.Extents {
		most = max(most, x.Off+int64(x.Len))
	}
	return least, most
}

func difference(a, b Attr) string {
	switch {
	case a.Size != b.Size:
		return fmt.Sprintf("size %d, was %d", b.Size, a.Size)
	case !a.Mtime.Equal(b.Mtime):
		return fmt.Sprintf("written at %s", b.Mtime.UTC().Format("2006-01-02T15:04:05.000Z"))
	case a.Version != b.Version:
		return fmt.Sprintf("version %d, was %d", b.Version, a.Version)
	}
	return "its ctime is another"
}
