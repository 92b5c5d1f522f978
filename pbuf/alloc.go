package pbuf

// Alloc returns a packet of n bytes of undefined contents with headroom for the
// headers of layer l, one reference and zero Meta (pbuf_alloc). KindRAM is one
// buffer, of the smallest class that fits and has one left; KindPool is a chain
// of standard buffers, of which only the first has headroom. It returns nil if
// the pool is exhausted (counted in Stats), n is negative, too long for one
// buffer, or k is KindRef (see AllocRef).
func (pl *Pool) Alloc(l Layer, n int, k Kind) *Pbuf {
	switch k {
	case KindRAM:
		return pl.allocRAM(l.headroom(), n)
	case KindPool:
		return pl.allocChain(l.headroom(), n)
	}
	return nil
}

func (pl *Pool) allocRAM(headroom uintptr, n int) *Pbuf {
	if debug {
		pl.assertOwner()
	}
	if n < 0 {
		return nil
	}
	first := -1
	for i := range pl.classes {
		c := &pl.classes[i]
		if n+int(headroom) > c.space {
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

func (pl *Pool) allocChain(headroom uintptr, n int) *Pbuf {
	if debug {
		pl.assertOwner()
	}
	c := &pl.classes[ClassStandard]
	if n < 0 || c.space < 0 {
		return nil
	}
	need := (n + int(headroom) + c.space - 1) / c.space
	if need > c.limit-c.out() {
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
	p.aux = r.id
	pl.regionRefs[r.id]++
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
	for i := range dst {
		p := c.alloc(Headroom, 0)
		if p == nil {
			c.failures++
			return i
		}
		p.kind = KindPool
		dst[i] = p
	}
	return len(dst)
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
			p.debugAlloc()
		}
	}
	cl.allocs += uint64(len(elements))
}

// Disown forgets buffers of this pool that the driver handed to a device, which
// gives them to the Backing itself, as a DPDK transmit burst does. Each must be
// its packet's only reference; links to following buffers are not looked at.
func (pl *Pool) Disown(ps []*Pbuf) {
	for _, p := range ps {
		if debug {
			p.debugFree()
		}
		p.ref = 0
		pl.classes[p.Class()].frees++
	}
}
