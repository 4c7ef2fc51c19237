package writeback

// An Extent is a run of bytes that the server has not made durable, as it was
// when asked for.
type Extent struct {
	Off   int64
	Data  []byte // not a copy; it does not change, and must not be changed
	State string // dirty, in flight, failed or unstable: see the package's picture
	Epoch uint64 // of the file when it was stored; never decreases with time
}

// Extents returns everything that the server has not made durable, ordered by
// offset, no two overlapping: laid over the server's file, after Truncations,
// they make the file that programs see. Ask for Truncations first: a truncation
// between the two calls is then one that the server has made, and not one that
// is repeated before bytes which it had cut off.
func (f *File) Extents() []Extent {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := make([]Extent, 0, f.set.tree.Len())
	f.set.all(func(e *extent) bool {
		n := len(e.data)
		l = append(l, Extent{e.off, e.data[:n:n], e.state.String(), e.epoch})
		return true
	})
	return l
}

// Truncations returns the sizes that the server was asked to give the file and
// that are not durable, in the order of the requests.
func (f *File) Truncations() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trunc == nil {
		return nil
	}
	var sizes []int64
	for _, c := range f.trunc.cuts {
		sizes = append(sizes, c.size)
	}
	return sizes
}
