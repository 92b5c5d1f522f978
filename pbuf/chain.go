package pbuf

// Free drops one reference and returns how many buffers of the chain went back
// to their pools: the first buffer if this was the last reference to it, then
// the next in the same way, up to the first that has other holders (pbuf_free).
// Buffers held away from home go to the holding pool's list of foreign ones.
func (p *Pbuf) Free() int {
	if debug {
		return p.freeChain()
	}
	if p.ref == 1 && p.next == 0 && p.home == p.at && p.state <= stateClass {
		c := &pools[p.home].classes[p.state&stateClass]
		if c.n < len(c.free) {
			c.push(p)
			return 1
		}
	}
	return p.freeChain()
}

// freeChain is Free in all its generality.
func (p *Pbuf) freeChain() int {
	if !debug && p.ref == 1 && p.next == 0 && p.home == p.at && p.state&^stateClass == stateLent {
		pools[p.at].putLent(p)
		return 1
	}
	n := 0
	for p != nil {
		if debug {
			p.assertFree()
		}
		if p.ref == 1 && p.home == p.at && p.state <= stateClass && !debug {
			k, next := freeLinked(p)
			if n += k; k != 0 {
				p = next
				continue
			}
		}
		if p.state&^stateClass == stateAlias&^stateClass && p.ref == 1 && p.home == p.at && !debug {
			k, next := pools[p.at].freeAliases(p)
			n += k
			p = next
			continue
		}
		if p.ref == 0 {
			break // freed before; as long as it is not in use again, harmless
		}
		if p.ref--; p.ref != 0 {
			break
		}
		next := load(&p.next)
		p.dispose()
		p = next
		n++
	}
	return n
}

// freeLinked frees the buffers at the front of a chain that have no other
// holders, are at home and of the class of p, which is such a one. It returns how
// many there were, and the next.
func freeLinked(p *Pbuf) (n int, next *Pbuf) {
	home, state := p.home, p.state
	c := &pools[home].classes[state&stateClass]
	room := c.free[c.n:]
	for n < len(room) && p != nil && p.ref == 1 && p.home == home && p.at == home && p.state == state {
		p.ref = 0
		room[n] = addr(p)
		n++
		p = load(&p.next)
	}
	c.n += n
	c.frees += uint64(n)
	return n, p
}

// dispose gives a buffer without holders back, unless others still use its
// memory: then the last of these will.
func (p *Pbuf) dispose() {
	if p.state&stateShared != 0 {
		return
	}
	pl := pools[p.at]
	if p.home != p.at {
		pl.putForeign(p)
		return
	}
	if p.state&stateRef != 0 {
		pl.unlink(p)
	}
	pl.put(p)
}

// FreeBatch frees each of ps, as Free does. It is the fastest way to free many
// buffers of one class, as after a transmit burst.
func FreeBatch(ps []*Pbuf) {
	for len(ps) > 0 {
		if p := ps[0]; p.ref > 1 && !debug { // who sent it keeps it, to send it again
			p.ref--
			ps = ps[1:]
			continue
		}
		n := freeRun(ps)
		if n == 0 {
			ps[0].Free()
			n = 1
		}
		ps = ps[n:]
	}
}

// freeRun frees the single buffers at the front of ps that have no other
// holders, are at home and of one class, and returns how many there were.
func freeRun(ps []*Pbuf) int {
	if debug {
		return 0
	}
	home, state := ps[0].home, ps[0].state
	if ps[0].at != home || state > stateClass {
		return 0
	}
	c := &pools[home].classes[state&stateClass]
	room := c.free[c.n:]
	ps = ps[:min(len(ps), len(room))]
	n := 0
	for _, p := range ps {
		if p.ref != 1 || p.next != 0 || p.home != home || p.at != home || p.state != state {
			break
		}
		p.ref = 0
		room[n] = addr(p)
		n++
	}
	c.n += n
	c.frees += uint64(n)
	return n
}

// ChainLen returns the number of buffers in the chain (pbuf_clen).
func (p *Pbuf) ChainLen() int {
	n := 0
	for ; p != nil; p = p.Next() {
		n++
	}
	return n
}

// Last returns the last buffer of the chain.
func (p *Pbuf) Last() *Pbuf {
	for p.next != 0 {
		p = p.Next()
	}
	return p
}

// Cat appends tail to the chain and takes over the caller's reference to it
// (pbuf_cat).
func (p *Pbuf) Cat(tail *Pbuf) {
	if tail == nil {
		return
	}
	if debug {
		tail.assertLive()
	}
	n := tail.totLen
	for p.next != 0 {
		p.totLen += n
		p = p.Next()
	}
	p.totLen += n
	p.next = addr(tail)
}

// Chain appends tail to the chain and adds a reference to it: the caller keeps
// its own (pbuf_chain).
func (p *Pbuf) Chain(tail *Pbuf) {
	if tail == nil {
		return
	}
	p.Cat(tail)
	tail.Ref()
}

// Dechain cuts the chain behind its first buffer and drops the reference that
// the first had to the second. It returns the second, or nil if there was none
// or nobody else holds it, so that it is freed now (pbuf_dechain).
func (p *Pbuf) Dechain() *Pbuf {
	q := p.Next()
	if q == nil {
		return nil
	}
	p.next = 0
	p.totLen = p.length
	if q.Free() > 0 {
		return nil
	}
	return q
}

// Realloc shortens the chain to n bytes and frees the buffers behind
// (pbuf_realloc). It returns false and changes nothing if n is negative or more
// than TotLen.
func (p *Pbuf) Realloc(n int) bool {
	cut := int(p.totLen) - n
	if n < 0 || cut < 0 {
		return false
	}
	for n > int(p.length) {
		n -= int(p.length)
		p.totLen -= uint32(cut)
		p = p.Next()
	}
	p.length = uint32(n)
	p.totLen = uint32(n)
	if rest := p.Next(); rest != nil {
		p.next = 0
		rest.Free()
	}
	return true
}
