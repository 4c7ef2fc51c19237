package export

import "golang.org/x/sys/unix"

// xattrFids are the fids of a conn that stand for attributes.
type xattrFids struct {
	read    map[uint32][]byte   // values from Txattrwalk; the core knows nothing of them
	written map[uint32]struct{} // Txattrcreate has made them so in the core
}

// walkXattr reads an attribute, or the list of them, into newfid: a fid that only
// the conn knows. The core would answer every error with EINVAL and, at the
// clunk of newfid, drop references it does not have.
func (c *conn) walkXattr(f *File, newfid uint32, name string) (body, data []byte, err error) {
	var value []byte
	if name == "" {
		value, err = f.listXattrs()
	} else {
		value, err = f.GetXattr(name)
	}
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch _, used := c.xattrs.read[newfid]; {
	case used || newfid == noFid:
		return nil, nil, unix.EINVAL
	case len(c.xattrs.read) >= maxXattrFids:
		return nil, nil, unix.EMFILE
	}
	c.xattrs.read[newfid] = value
	return le.AppendUint64(nil, uint64(len(value))), nil, nil
}

func (c *conn) xattr(fid uint32) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.xattrs.read[fid]
	return v, ok
}

// setsXattr tells whether a Twrite to the fid is for an attribute.
func (c *conn) setsXattr(fid uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.xattrs.written[fid]
	return ok
}

// madeXattr records that Txattrcreate has succeeded.
func (c *conn) madeXattr(fid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xattrs.written[fid] = struct{}{}
}

// clunkXattr forgets the fid, and tells whether it was one that the core has not.
func (c *conn) clunkXattr(fid uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.xattrs.read[fid]
	delete(c.xattrs.read, fid)
	delete(c.xattrs.written, fid)
	return ok
}

// readXattr answers a Tread on an attribute's fid.
func readXattr(tag uint16, value []byte, off uint64, count uint32) []byte {
	value = value[min(off, uint64(len(value))):]
	value = value[:min(uint64(count), uint64(len(value)))]
	return frame(tread+1, tag, append(le.AppendUint32(nil, uint32(len(value))), value...))
}
