package pbuf

// Builder puts a chain together from its parts, front to back. A part costs the
// same however long the chain is, where Cat walks through it each time. The zero
// Builder is empty and ready; it holds no Go pointers.
//
// Until Finish the chain is not one: TotLen of what was added is wrong, and
// nothing may be done with it but to read payloads.
type Builder struct {
	head, tail uintptr
	n          uint32
}

// Add appends the packet p, a buffer or a chain, and takes over the caller's
// reference to it.
func (b *Builder) Add(p *Pbuf) {
	if debug {
		p.assertLive()
	}
	b.n += p.totLen
	if b.head == 0 {
		b.head = addr(p)
	} else {
		at(b.tail).next = addr(p)
	}
	for p.next != 0 {
		p = p.Next()
	}
	b.tail = addr(p)
}

// AddPart is Add for a packet that is a single buffer, and without the first n bytes of
// it: there are as many, and something is in the Builder already.
func (b *Builder) AddPart(p *Pbuf, n int) {
	if debug {
		p.assertLive()
	}
	p.payload += uintptr(n)
	p.length -= uint32(n)
	b.n += p.length
	at(b.tail).next = addr(p)
	b.tail = addr(p)
}

// Len returns the payload bytes added so far.
func (b *Builder) Len() int { return int(b.n) }

// Finish returns the chain, nil if nothing was added, and empties the Builder.
// The packet is the caller's.
func (b *Builder) Finish() *Pbuf {
	p, left := load(&b.head), b.n
	*b = Builder{}
	for q := p; q != nil; q = load(&q.next) {
		q.totLen = left
		left -= q.length
	}
	return p
}
