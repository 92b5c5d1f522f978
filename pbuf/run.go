package pbuf

// A run is a chain of which each buffer is to become a packet of its own: all
// have room for headers in front, so that nothing has to be copied or referred to
// when that comes.

// AllocRun returns a chain for n bytes of undefined contents: each bytes in every
// buffer, the last with what is left, all with the headroom of LayerTransport and
// of the smallest class in which each fits. It is nil if that class has not as
// many, or if n or each is not positive.
func (pl *Pool) AllocRun(n, each int) *Pbuf {
	if debug {
		pl.assertOwner()
	}
	if n <= 0 || each <= 0 {
		return nil
	}
	i := ClassSmall
	for i < NumClasses && each > pl.classes[i].space-Headroom {
		i++
	}
	if i == NumClasses {
		return nil
	}
	c := &pl.classes[i]
	if (n+each-1)/each > c.limit-c.out() {
		c.failures++
		return nil
	}
	var first, last *Pbuf
	for {
		if c.n == 0 && !c.refill() { // a backing may have less than it has lent
			c.failures++
			if first != nil {
				first.Free()
			}
			return nil
		}
		k := min(n, each)
		p := c.pop(Headroom, k)
		p.totLen = uint32(n)
		if last == nil {
			first = p
		} else {
			last.next = addr(p)
		}
		if n -= k; n == 0 {
			return first
		}
		last = p
	}
}

// CatRun appends tail to the chain of which last is the last buffer, and to that
// n bytes of its tail room, which it returns; tail may be nil and n be 0. It is
// Append and Cat for who knows the last buffer. The caller's reference to tail
// goes over to p.
func (p *Pbuf) CatRun(last *Pbuf, n int, tail *Pbuf) []byte {
	if debug {
		p.assertLive()
		last.assertLive()
	}
	if n < 0 || n > last.Tailroom() {
		return nil
	}
	b := bytesAt(last.payload+uintptr(last.length), n)
	last.length += uint32(n)
	more := uint32(n)
	if tail != nil {
		last.next = addr(tail)
		more += tail.totLen
	}
	for q := p; ; q = at(q.next) {
		q.totLen += more
		if q == last {
			return b
		}
	}
}

// Spread takes the chain apart: each of its buffers is then a packet of its own.
// They stand in out, p first, and it returns how many. The caller's one reference
// to the chain is one to each. It returns 0 and changes nothing if there are more
// than len(out).
func (p *Pbuf) Spread(out []*Pbuf) int {
	n := 0
	for q := p; q != nil; q = q.Next() {
		if n == len(out) {
			return 0
		}
		out[n] = q
		n++
	}
	for _, q := range out[:n] {
		q.next = 0
		q.totLen = q.length
	}
	return n
}

// Detach makes a buffer of a chain a packet of its own, whose payload begins n bytes
// further to the front, where there is the room, and returns that payload: Spread and
// AddHeader for one of a run.
func (p *Pbuf) Detach(n int) []byte {
	if debug {
		p.assertLive()
	}
	k := p.length + uint32(n)
	a := p.payload - uintptr(n)
	p.next, p.payload, p.totLen, p.length = 0, a, k, k
	return bytesAt(a, int(k))
}

// Parts is a list of packets, linked as those of a Queue are, in a single word:
// what was Spread, for a control block that has no room for more. The zero Parts
// is empty. A packet of it can't be in a Queue.
type Parts struct{ first uintptr }

// LinkParts makes a list of ps, in that order. It takes the caller's references
// over.
func LinkParts(ps []*Pbuf) (l Parts) {
	for i := len(ps) - 1; i >= 0; i-- {
		ps[i].qnext = l.first
		l.first = addr(ps[i])
	}
	return l
}

// HoldParts is LinkParts that keeps the caller's references: the list has its own.
func HoldParts(ps []*Pbuf) (l Parts) {
	for i := len(ps) - 1; i >= 0; i-- {
		p := ps[i]
		if debug {
			p.assertRef()
		}
		p.ref++
		p.qnext = l.first
		l.first = addr(p)
	}
	return l
}

// Head returns the first packet, nil if there is none. Walk the list with QNext.
func (l Parts) Head() *Pbuf { return load(&l.first) }

// Pop takes the first packet out and returns it, nil if there is none.
func (l *Parts) Pop() *Pbuf {
	p := load(&l.first)
	if p != nil {
		l.first = p.qnext
		p.qnext = 0
	}
	return p
}

// Free frees all packets of the list.
func (l *Parts) Free() {
	if !debug {
		l.freeRun()
	}
	for p := l.Pop(); p != nil; p = l.Pop() {
		p.Free()
	}
}

// freeRun frees the packets at the front of the list that are single buffers of one
// class, at home and without other holders: all of them, as a rule.
func (l *Parts) freeRun() {
	p := load(&l.first)
	if p == nil || p.state > stateClass || p.home != p.at {
		return
	}
	t := p.tag
	c := &pools[t.home].classes[t.state&stateClass]
	room := c.free[c.n:]
	n := 0
	for n < len(room) && p != nil && p.ref == 1 && p.next == 0 && p.home == t.home && p.at == t.at && p.state == t.state {
		p.ref = 0
		room[n] = addr(p)
		n++
		p = load(&p.qnext)
	}
	c.n += n
	c.frees += uint64(n)
	l.first = addr(p)
}

// Gather is the reverse of Spread: the packets of l, single buffers, become the
// rest of the chain of p, a single buffer, in their order.
func (p *Pbuf) Gather(l *Parts) {
	if debug {
		p.assertLive()
	}
	total := uint32(0)
	last := p
	for q := l.Pop(); q != nil; q = l.Pop() {
		last.next = addr(q)
		last = q
		total += q.length
	}
	total += p.length
	for q := p; q != nil; q = load(&q.next) {
		q.totLen = total
		total -= q.length
	}
}

// Sums of data that is to be sent, kept with it: the flag TxDataSum says that
// Hash has one.

// SetDataSum keeps the RFC 1071 sum of the n bytes, at most 65535, at the end of
// this buffer's payload.
func (p *Pbuf) SetDataSum(sum uint16, n int) {
	p.Hash = uint32(n)<<16 | uint32(sum)
	p.Flags |= TxDataSum
}

// DataSum returns the sum of the n bytes at the end of this buffer's payload, if
// it was kept and of as many.
func (p *Pbuf) DataSum(n int) (sum uint16, ok bool) {
	return uint16(p.Hash), p.Flags&TxDataSum != 0 && p.Hash>>16 == uint32(n)
}
