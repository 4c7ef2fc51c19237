package writeback

// An Extent is a run of bytes that the server has not made durable.
type Extent struct {
	Off   int64
	Data  []byte // not to be changed
	State string // dirty, in flight, failed or unstable
	Epoch uint64
}

// Extents returns everything that is not durable, in order, as it is at this
// moment. The data is not copied.
func (f *File) Extents() []Extent {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := make([]Extent, 0, f.set.tree.Len())
	f.set.all(func(e *extent) bool {
		n := len(e.data) // what it grows by later is behind that
		l = append(l, Extent{e.off, e.data[:n:n], e.state.String(), e.epoch})
		return true
	})
	return l
}

// Truncations returns the sizes in bytes, in order, which the server has agreed to
// cut the file to and has not made durable. The extents were stored after them.
func (f *File) Truncations() (sizes []int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trunc != nil {
		for _, c := range f.trunc.cuts {
			sizes = append(sizes, c.size)
		}
	}
	return sizes
}
