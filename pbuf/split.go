package pbuf

// Split cuts the chain: p keeps the first n bytes, the rest is returned and is
// the caller's. It returns nil and changes nothing unless 0 < n < TotLen, or if
// a buffer is needed and the pool of p's holder has none.
//
// Between two buffers nothing but links change. Within a buffer, a rest that
// fits a small one is copied into it, with Headroom free in front. A longer
// rest, and any rest of a KindRef, becomes a KindRef to the same memory, which
// it keeps alive: after both parts are freed the memory is. The first part then
// has no Tailroom any more, as the bytes there are the rest's.
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
		if rest = q.shareTail(off); rest == nil {
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

// shareTail returns a new buffer with the bytes of q from off on, in front of
// the buffers after q. It leaves q's length and link to the caller.
func (q *Pbuf) shareTail(off int) *Pbuf {
	pl := pools[q.at]
	n := int(q.length) - off
	var r *Pbuf
	switch {
	case q.kind == KindRef && q.aux != 0:
		if r = pl.allocHeader(q.payload+uintptr(off), n); r == nil {
			return nil
		}
		r.aux = q.aux
		pl.regionRefs[q.aux]++
	case n <= SmallRoom:
		if r = pl.Alloc(LayerTransport, n, KindRAM); r == nil {
			return nil
		}
		copy(r.Payload(), q.Payload()[off:])
	default:
		if r = pl.allocHeader(q.payload+uintptr(off), n); r == nil {
			return nil
		}
		owner := q.owner()
		owner.ref++
		owner.state |= stateShared
		r.aux = 0
		*r.link() = addr(owner)
	}
	r.next = q.next
	r.totLen = q.totLen - uint32(off)
	r.Meta = q.Meta
	r.Time = q.Time
	return r
}

// owner returns the buffer to link to in order to keep q's bytes alive: the one
// whose memory it is, but only if this thread holds that one, as its counter is
// not to be touched from elsewhere. A link to q itself is always good.
func (q *Pbuf) owner() *Pbuf {
	for q.kind == KindRef {
		o := load(q.link())
		if o.at != q.at {
			break
		}
		q = o
	}
	return q
}

// allocHeader returns a KindRef buffer for n bytes at address payload.
func (pl *Pool) allocHeader(payload uintptr, n int) *Pbuf {
	if debug {
		pl.assertOwner()
	}
	p := pl.allocRAM(0, 0)
	if p == nil {
		return nil
	}
	p.kind = KindRef
	p.payload = payload
	p.length = uint32(n)
	p.totLen = uint32(n)
	return p
}

// unlink drops what a KindRef buffer of this pool holds.
func (pl *Pool) unlink(p *Pbuf) {
	if p.aux != 0 {
		pl.regionRefs[p.aux]--
		return
	}
	load(p.link()).Free()
}
