// Package rescue keeps what a mount could not send in a file on local disk, reads
// that file again, and sends it later.
//
// # The file
//
// A rescue file is a line of text (Magic) and then records, one after another:
//
//	size[4] crc[4] body[size]
//
// crc is the CRC-32C of the body; body[0] tells its kind. Integers are little
// endian; a string is len[2] and its bytes; a time is seconds[8] since 1970 and
// nanoseconds[4]; attr is set[1] version[4] size[8] mtime ctime.
//
//	1 mount       written live[1] n_uname[4] address aname uname dialect mountpoint
//	2 file        file[4] qid.path[8] qid.type[1] attr sent[1] grown[8] errno[4]
//	              truncations[4] extents[4] path why
//	3 truncation  file[4] size[8]
//	4 extent      file[4] off[8] errno[4] state data, which is the rest
//	5 end         records[8] crc[4], the CRC-32C of everything before this record
//	6 sending     file[4] attr
//	7 sent        file[4]
//
// There is one mount; each file has a number, and is followed by its truncations,
// in their order, and its extents, which come after them in time and do not
// overlap. One extent of the mount may be several records, of at most MaxData
// bytes. Sizes and offsets are bytes.
//
// attr is what the mount knew of the file on the server; sent says that writes of
// its own may have changed that since, and grown is the largest size which they may
// have given it. live says that programs could still store when the file was
// written, so that newer stores than these may have reached the server.
//
// The file is written under another name, synced, and renamed, so that it is there
// as a whole or not at all. Afterwards it only grows: who sends it appends what he
// is about to send (6) and what the server has made durable (7), and another run
// sends the rest.
//
// # Damage
//
// A record whose checksum is wrong is passed over, and what is cut off at the end is
// missing; a file record says how much belongs to it. What is whole can be sent. A
// damaged file is not changed: there are no marks in it, and it is not removed.
//
// # Who has it
//
// The mount that writes a rescue file has it locked (flock) as long as it may still
// send the bytes itself; who sends it locks it too.
//
// # Has somebody else changed the file?
//
// Judge decides, and refuses what another client has changed since. Where the
// mount's own writes may have changed the file after it was last looked at, its
// times tell nothing, and any size that these writes can give it is taken for
// theirs: a stranger's write of that moment is not noticed. Identity is qid.path
// and type, and a ctime that does not move backwards; a server may use a qid.path
// again.
//
// # Limits
//
// Files are found by the path that they had in the mount. A removed file that was
// still open is not rescued: nobody could ask for it. Attributes are not rescued,
// nor is a file made that is not there. A server that crashed, and lost what it had
// acknowledged and shown to the mount, is taken for somebody else. The bytes are as
// readable as the file's mode says (0600): they are not encrypted.
package rescue
