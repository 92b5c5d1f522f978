package pbuf

// Alloc returns a packet of n bytes of undefined contents with headroom for the
// headers of layer l, one reference and zero Meta (pbuf_alloc). KindRAM is one
// buffer, of the smallest class that fits and has one left; KindPool is a chain
// of standard buffers, of which only the first has headroom. It returns nil if
// the pool is exhausted (counted in Stats), n is negative, too long for one
// buffer, or k is KindRef (see AllocRef).
func (pl *Pool) Alloc(l Layer, n int, k Kind) *Pbuf {
	headroom := l.headroom()
	c := &pl.classes[ClassStandard]
	if k == KindRAM && n <= SmallRoom+Headroom-int(headroom) {
		c = &pl.classes[ClassSmall]
	}
	if debug || n < 0 || n > c.space-int(headroom) || k >= KindRef || c.n == 0 {
		return pl.allocSlow(headroom, n, k)
	}
	p := c.pop(headroom, n)
	p.kind = k
	return p
}

// allocSlow is Alloc in all its generality.
func (pl *Pool) allocSlow(headroom uintptr, n int, k Kind) *Pbuf {
	if debug {
		pl.assertOwner()
	}
	switch {
	case n < 0:
		return nil
	case k == KindRAM:
		return pl.allocRAM(headroom, n)
	case k == KindPool:
		return pl.allocChain(headroom, n)
	}
	return nil
}

// allocRAM takes a buffer of the smallest class that fits and has one.
func (pl *Pool) allocRAM(headroom uintptr, n int) *Pbuf {
	first := -1
	for i := range NumClasses {
		c := &pl.classes[i]
		if n > c.space-int(headroom) {
			continue
		}
		if first < 0 {
			first = i
		}
		if p := c.alloc(headroom, n); p != nil {
			return p
		}
		c.fallbacks++
	}
	if first >= 0 {
		pl.classes[first].failures++
	}
	return nil
}

// allocChain takes as many standard buffers as n bytes need.
func (pl *Pool) allocChain(headroom uintptr, n int) *Pbuf {
	c := &pl.classes[ClassStandard]
	if c.space < 0 {
		return nil
	}
	if free := c.limit - c.out(); n > free*c.space-int(headroom) || free == 0 {
		c.failures++
		return nil
	}
	var first, last *Pbuf
	for {
		part := min(n, c.space-int(headroom))
		p := c.alloc(headroom, part)
		if p == nil {
			c.failures++
			if first != nil {
				first.Free()
			}
			return nil
		}
		p.kind = KindPool
		p.totLen = uint32(n)
		if last == nil {
			first = p
		} else {
			last.next = addr(p)
		}
		if n -= part; n == 0 {
			return first
		}
		last = p
		headroom = 0
	}
}

// AllocRef returns a buffer whose payload is bytes [off, off+n) of r, not
// copied (pbuf_alloc_reference). r can't be closed before the buffer is freed.
// The result is nil if the range is not within r, r is closed or the pool is
// exhausted.
func (pl *Pool) AllocRef(r *Region, off, n int) *Pbuf {
	if off < 0 || n < 0 || off > r.size || n > r.size-off || r.id == 0 {
		return nil
	}
	p := pl.allocHeader(r.base+uintptr(off), n)
	if p == nil {
		return nil
	}
	pl.linkRegion(p, r.id)
	return p
}

// AllocBatch fills dst with empty standard buffers (Len 0, Headroom in front,
// the whole data room in Spare), for receive rings, and returns how many it
// got. Each has one reference.
func (pl *Pool) AllocBatch(dst []*Pbuf) int {
	if debug {
		pl.assertOwner()
	}
	c := &pl.classes[ClassStandard]
	done := c.popBatch(dst)
	for done < len(dst) && c.refill() {
		done += c.popBatch(dst[done:])
	}
	if done < len(dst) {
		c.failures++
	}
	return done
}

// Adopt makes buffers of class c out of elements that the driver took from the
// Backing itself, as a DPDK receive burst does: their headers are initialised
// as by AllocBatch, and they count as allocated.
func (pl *Pool) Adopt(c Class, elements []uintptr, dst []*Pbuf) {
	cl := &pl.classes[c]
	for i, a := range elements {
		p := at(a)
		*p = Pbuf{payload: a + PbufSize + Headroom, tag: cl.tag, cb: p.cb}
		dst[i] = p
		if debug {
			p.debugAdopt()
		}
	}
	cl.allocs += uint64(len(elements))
}

// Disown forgets buffers of this pool that the driver handed to a device, which
// gives them to the Backing itself, as a DPDK transmit burst does. They may not
// be Shared. Links to following buffers are not looked at, so each buffer of a
// chain is to be listed.
func (pl *Pool) Disown(ps []*Pbuf) {
	for _, p := range ps {
		if debug {
			p.debugDisown()
		}
		p.ref = 0
		pl.classes[p.Class()].frees++
	}
}
