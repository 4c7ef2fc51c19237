package p9client

import "slices"

// smallMessage is the most bytes of a message that goes out before larger ones
// which wait, and whose sender does not wait until it was written.
const smallMessage = 4096

// An outbox holds copies of small messages that wait for the pen, in the order in
// which they came. It does no locking. The tags bound what can be in it.
type outbox struct {
	b    []byte
	msgs []posted
}

type posted struct {
	tag  uint16
	size int
}

func (o *outbox) empty() bool { return len(o.msgs) == 0 }

func (o *outbox) put(tag uint16, header, payload []byte) {
	o.b = append(append(o.b, header...), payload...)
	o.msgs = append(o.msgs, posted{tag, len(header) + len(payload)})
}

// has reports whether the message with that tag is in it.
func (o *outbox) has(tag uint16) bool {
	return slices.ContainsFunc(o.msgs, func(m posted) bool { return m.tag == tag })
}

// remove takes the message with that tag out again, and reports whether it was
// there.
func (o *outbox) remove(tag uint16) bool {
	off := 0
	for i, m := range o.msgs {
		if m.tag == tag {
			o.b = append(o.b[:off], o.b[off+m.size:]...)
			o.msgs = append(o.msgs[:i], o.msgs[i+1:]...)
			return true
		}
		off += m.size
	}
	return false
}

// take returns everything that is in it, and leaves room for more in spare.
func (o *outbox) take(spare []byte) []byte {
	b := o.b
	o.b, o.msgs = spare[:0], o.msgs[:0]
	return b
}
