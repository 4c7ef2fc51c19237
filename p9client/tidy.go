package p9client

import "context"

// tidyLater does what is left of a rename that was given up while there was no
// connection: what was set aside under the name aside, to be replaced, goes, or
// gets its name back if nothing else has that. It waits for as long as it takes.
func (f *Fid) tidyLater(aside, name string) {
	s := f.s
	dir := f.deriveUnder(f.below(), nil, f.qid) // the caller may clunk f
	s.spawn(func() {
		defer dir.Clunk()
		for s.ctx.Err() == nil {
			news := s.LinkChanged()
			if err := dir.tidyNow(s.ctx, aside, name); !isLost(err) {
				return
			}
			select {
			case <-news:
			case <-s.ctx.Done():
			}
		}
	})
}

// tidyNow is tidyLater for a rename whose end is known.
func (f *Fid) tidyNow(ctx context.Context, aside, name string) error {
	return f.do(ctx, "Twstat", func(at *standing) error { return at.c.say.tidy(ctx, at, aside, name) })
}
