package pbuf

import "math"

// Split cuts the chain: p keeps the first n bytes, the rest is returned and is
// the caller's. It returns nil and changes nothing unless 0 < n < TotLen, or if
// a buffer is needed and the pool of p's holder has none.
//
// Between two buffers nothing but links change. Within a buffer, a rest that
// fits a small one is copied into it, with Headroom free in front. A longer
// rest, and any rest of a buffer in a Region, becomes a KindRef to the same
// memory, which stays until both parts are freed, in any order. As long as the
// rest is not freed, the first part has no Tailroom, as the bytes there are the
// rest's, and can't be handed over.
func (p *Pbuf) Split(n int) *Pbuf {
	if n <= 0 || n >= int(p.totLen) {
		return nil
	}
	q, off := p, n
	for off > int(q.length) {
		off -= int(q.length)
		q = q.Next()
	}
	rest := q.Next()
	if off < int(q.length) {
		if rest = q.splitTail(off); rest == nil {
			return nil
		}
	}
	cut := rest.totLen
	for f := p; f != q; f = f.Next() {
		f.totLen -= cut
	}
	q.length = uint32(off)
	q.totLen = uint32(off)
	q.next = 0
	return rest
}

// splitTail returns a new buffer with the bytes of p from off on, in front of
// the buffers after p. It leaves p's length and link to the caller.
func (p *Pbuf) splitTail(off int) *Pbuf {
	pl := pools[p.at]
	n := int(p.length) - off
	var r *Pbuf
	if n <= SmallRoom && p.state&stateRegion == 0 {
		r = pl.Alloc(LayerTransport, n, KindRAM)
	} else {
		r = pl.allocHeader(p.payload+uintptr(off), n)
	}
	switch {
	case r == nil:
		return nil
	case r.kind == KindRAM:
		copy(r.Payload(), p.Payload()[off:])
	case p.state&stateRegion != 0:
		pl.linkRegion(r, p.aux)
	default:
		r.linkTo(p.owner())
	}
	r.next = p.next
	r.totLen = p.totLen - uint32(off)
	r.Meta = p.Meta
	r.Time = p.Time
	return r
}

// Slice returns a KindRef buffer whose payload is bytes [off, off+n) of this
// buffer, not of the chain. Nothing is copied and p stays as it is; the bytes
// stay until p and all slices are freed, in any order, and until then p has no
// Tailroom and can't be handed over, as after Split. The result has zero Meta.
// It is nil if the range is not within the payload, if the pool of p's holder
// has no buffer, or if p has 65535 slices already.
func (p *Pbuf) Slice(off, n int) *Pbuf {
	if debug {
		p.assertLive()
	}
	if off < 0 || n < 0 || off > int(p.length) || n > int(p.length)-off {
		return nil
	}
	var o *Pbuf
	if p.state&stateRegion == 0 {
		if o = p.owner(); o.state&stateShared != 0 && o.aux == math.MaxUint16 {
			return nil
		}
	}
	pl := pools[p.at]
	r := pl.allocHeader(p.payload+uintptr(off), n)
	switch {
	case r == nil:
		return nil
	case o == nil:
		pl.linkRegion(r, p.aux)
	default:
		r.linkTo(o)
	}
	return r
}

// allocHeader returns a KindRef buffer for n bytes at address payload. The
// caller links it to what is there.
func (pl *Pool) allocHeader(payload uintptr, n int) *Pbuf {
	if debug {
		pl.assertOwner()
	}
	var p *Pbuf
	if c := &pl.classes[ClassSmall]; c.n > 0 {
		p = c.pop(0, 0)
	} else if p = pl.allocRAM(0, 0); p == nil {
		return nil
	}
	p.kind = KindRef
	p.payload = payload
	p.length = uint32(n)
	p.totLen = uint32(n)
	return p
}

// linkRegion makes the KindRef buffer p of this pool keep a Region.
func (pl *Pool) linkRegion(p *Pbuf, id uint16) {
	p.state |= stateRegion
	p.aux = id
	pl.regionRefs[id]++
}

// linkTo makes the KindRef buffer p keep the memory of o. That is no reference
// to o in the sense of Ref: o itself, and the chain behind it, may be freed
// first, or p may be appended to o. Both are used by one thread until p is at
// home again.
func (p *Pbuf) linkTo(o *Pbuf) {
	if o.state&stateShared == 0 {
		o.state |= stateShared
		o.aux = 0
	}
	o.aux++
	p.state |= stateLink
	*p.link() = addr(o)
}

// owner returns the buffer to link to in order to keep p's bytes: the one whose
// memory it is, but only if this thread holds that one, as its counter is not
// to be touched from elsewhere. A link to p itself is always good.
func (p *Pbuf) owner() *Pbuf {
	for p.state&stateLink != 0 {
		o := load(p.link())
		if o.at != p.at {
			break
		}
		p = o
	}
	return p
}

// unlink drops what a KindRef buffer of this pool keeps.
func (pl *Pool) unlink(p *Pbuf) {
	if p.state&stateRegion != 0 {
		pl.regionRefs[p.aux]--
		return
	}
	o := load(p.link())
	if o.aux--; o.aux != 0 {
		return
	}
	o.state &^= stateShared
	o.aux = pools[o.home].classes[o.state&stateClass].tag.aux
	if o.ref == 0 {
		o.dispose()
	}
}
