package pbuf

// Headroom returns how many bytes AddHeader can put in front of the payload.
// A KindRef buffer has none: the bytes there are not its own.
func (p *Pbuf) Headroom() int {
	if p.kind == KindRef {
		return 0
	}
	return int(p.payload - addr(p) - PbufSize)
}

// Tailroom returns how many bytes there are behind the payload of this buffer.
// A KindRef buffer has none, nor has one whose rest was split off by reference,
// as long as the rest is not freed.
func (p *Pbuf) Tailroom() int {
	if p.state&stateBusy != 0 {
		return 0
	}
	return int(p.end() - p.payload - uintptr(p.length))
}

// AddHeader moves the start of the payload n bytes to the front, in order to
// write a header there (pbuf_add_header). It returns false and changes nothing
// if the headroom is less than n, n is negative or the buffer is a KindRef. The
// buffer must be the first of its chain.
func (p *Pbuf) AddHeader(n int) bool {
	if debug {
		p.assertLive()
	}
	if uint(n) > uint(p.payload-addr(p)-PbufSize) || p.kind == KindRef {
		return false
	}
	p.payload -= uintptr(n)
	p.length += uint32(n)
	p.totLen += uint32(n)
	return true
}

// AddHeaderForce is AddHeader that also works on a KindRef buffer, to uncover a
// header that was removed before, not to write a new one
// (pbuf_add_header_force). It does not leave the memory referred to.
func (p *Pbuf) AddHeaderForce(n int) bool {
	if p.kind != KindRef {
		return p.AddHeader(n)
	}
	if n < 0 || uintptr(n) > p.payload-p.refStart() {
		return false
	}
	p.payload -= uintptr(n)
	p.length += uint32(n)
	p.totLen += uint32(n)
	return true
}

// refStart returns the lowest address that a KindRef buffer may refer to.
func (p *Pbuf) refStart() uintptr {
	for p.state&stateLink != 0 {
		p = load(p.link())
	}
	if p.state&stateRegion != 0 {
		return regions[p.aux].base
	}
	switch {
	case p.inFront():
		return addr(p) + MbufSize + PbufSize
	case p.state&stateExtern != 0:
		return p.externStart()
	}
	return addr(p) + PbufSize
}

// RemoveHeader moves the start of the payload n bytes back, hiding them
// (pbuf_remove_header). It returns false and changes nothing if this buffer has
// fewer bytes. The buffer must be the first of its chain.
func (p *Pbuf) RemoveHeader(n int) bool {
	if debug {
		p.assertLive()
	}
	if uint(n) > uint(p.length) {
		return false
	}
	p.payload += uintptr(n)
	p.length -= uint32(n)
	p.totLen -= uint32(n)
	return true
}

// FreeHeader removes n bytes from the front of the chain, freeing the buffers
// that get empty on the way, and returns what is left, nil if nothing is
// (pbuf_free_header). The caller's reference goes over to the result. Negative n
// removes nothing.
func (p *Pbuf) FreeHeader(n int) *Pbuf {
	for n > 0 && p != nil {
		if n < int(p.length) {
			p.RemoveHeader(n)
			break
		}
		n -= int(p.length)
		f := p
		p = p.Next()
		f.next = 0
		f.totLen = f.length
		f.Free()
	}
	return p
}

// TrimFront removes n bytes from the front of the chain and frees the buffers
// behind the first that get empty on the way. Unlike with FreeHeader the first
// buffer stays, be it empty: with its control block, its place in a Queue, and
// the bytes in front of its payload as headroom. It returns false and changes
// nothing if n is negative or more than TotLen.
func (p *Pbuf) TrimFront(n int) bool {
	if debug {
		p.assertLive()
	}
	if n < 0 || n > int(p.totLen) {
		return false
	}
	left := p.totLen - uint32(n)
	own := min(uint32(n), p.length)
	p.payload += uintptr(own)
	p.length -= own
	p.totLen = left
	for n -= int(own); n > 0; {
		q := load(&p.next)
		k := min(uint32(n), q.length)
		n -= int(k)
		q.payload += uintptr(k)
		q.length -= k
		q.totLen -= k
		if q.length != 0 {
			break
		}
		p.next = q.next
		q.next = 0
		q.totLen = 0
		q.Free()
	}
	return true
}

// SetLen sets the payload of a single buffer to n bytes, after a driver has
// filled Spare. It returns false and changes nothing if n is negative, beyond
// the end of the buffer, or p is a chain.
func (p *Pbuf) SetLen(n int) bool {
	if debug {
		p.assertLive()
	}
	if n < 0 || p.next != 0 || n > int(p.length)+p.Tailroom() {
		return false
	}
	p.length = uint32(n)
	p.totLen = uint32(n)
	return true
}

// Spare returns the tail room of this buffer, to be filled by a driver before
// it calls SetLen. Of an empty buffer that is the whole data room.
func (p *Pbuf) Spare() []byte {
	if debug {
		p.assertLive()
	}
	return bytesAt(p.payload+uintptr(p.length), p.Tailroom())
}

// Append adds n bytes at the end of the chain's last buffer and returns them
// for the caller to fill. It returns nil and changes nothing if the tail room
// there is less than n or n is negative.
func (p *Pbuf) Append(n int) []byte {
	last := p.Last()
	if n < 0 || n > last.Tailroom() {
		return nil
	}
	b := bytesAt(last.payload+uintptr(last.length), n)
	last.length += uint32(n)
	for q := p; q != nil; q = q.Next() {
		q.totLen += uint32(n)
	}
	return b
}

// Room returns how many bytes Append can add to the chain.
func (p *Pbuf) Room() int { return p.Last().Tailroom() }

// Reset empties a single buffer and gives it the headroom of l, to use it
// again. It returns false and changes nothing if p is a chain, a KindRef, has
// other holders or a rest that was split off by reference.
func (p *Pbuf) Reset(l Layer) bool {
	if debug {
		p.assertLive()
	}
	if p.next != 0 || p.ref != 1 || p.state&stateBusy != 0 {
		return false
	}
	p.payload = addr(p) + PbufSize + l.headroom()
	p.length = 0
	p.totLen = 0
	p.Meta = Meta{}
	p.Time = 0
	return true
}
