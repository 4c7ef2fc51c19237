package p9client

import "context"

type ownerKey struct{}

// WithOwner returns a context in which Create, Mkdir, Symlink and Mknod make what
// belongs to that user instead of the one who attached. Only servers with gVisor's
// extension 3 (Tucreate and its like) can be asked for that, and obey if they may;
// on others it makes no difference.
func WithOwner(ctx context.Context, uid uint32) context.Context {
	return context.WithValue(ctx, ownerKey{}, uid)
}

// owned chooses the message that makes something: typ, or where an owner is wanted
// and the server knows that, utyp, which ends with him.
func (d dotL) owned(ctx context.Context, typ, utyp uint8) (cl *call, owner func(e *encoder)) {
	uid, wanted := ctx.Value(ownerKey{}).(uint32)
	if !wanted || d.google < 3 {
		return newCall(typ), func(*encoder) {}
	}
	return newCall(utyp), func(e *encoder) { e.u32(uid) }
}
