package pbuf

// Backing supplies the elements of a class in place of the pool's own mapping,
// as a DPDK mempool does. Elements are addresses of Pbuf headers (Pbuf.Addr) in
// the layout of this package. The pool calls it from its own thread.
type Backing interface {
	// Refill fills dst with addresses of free elements and returns how many.
	Refill(dst []uintptr) int
	// Drain takes all of src back.
	Drain(src []uintptr)
}

// BackingCloser is a Backing that is told when the pool is closed: after the
// last Drain, once for each class that it backs.
type BackingCloser interface {
	Backing
	Close() error
}

// backingBatch is how many elements go to or from a Backing at a time; twice as
// many are kept at hand.
const backingBatch = 256

// class is the free list of one size class: a stack, so that the buffer freed
// last, still in the cache, is used first. Its first line is what alloc and Free
// touch; the size is a power of two, so that it is found by a shift.
type class struct {
	free   []uintptr // free elements are free[:n]
	n      int
	allocs uint64
	frees  uint64
	tag    tag // header fields of a new buffer
	space  int // bytes from the front of the headroom to the end, -1 = no such class

	limit     int // elements in all
	backing   Backing
	failures  uint64
	fallbacks uint64
	debug     classDebug
	_         [24]byte
}

func newClass(id uint8, c Class, n, room int, b Backing) class {
	cl := class{
		tag:     tag{ref: 1, state: uint8(c), home: id, at: id, aux: uint16(room >> lineShift)},
		space:   Headroom + room,
		limit:   n,
		backing: b,
	}
	if n == 0 {
		cl.space = -1
	}
	hold := n
	if b != nil {
		hold = min(n, 2*backingBatch)
	}
	cl.free = make([]uintptr, hold)
	return cl
}

// out returns how many elements are not free.
func (c *class) out() int { return int(c.allocs - c.frees) }

// alloc returns a buffer of n bytes, nil if there is none. The caller has
// checked that headroom and n fit.
func (c *class) alloc(headroom uintptr, n int) *Pbuf {
	if c.n == 0 && !c.refill() {
		return nil
	}
	return c.pop(headroom, n)
}

// pop is alloc with the free list known not to be empty.
func (c *class) pop(headroom uintptr, n int) *Pbuf {
	c.n--
	c.allocs++
	a := c.free[c.n]
	p := at(a)
	p.next = 0
	p.payload = a + PbufSize + headroom
	p.totLen = uint32(n)
	p.length = uint32(n)
	p.tag = c.tag
	p.Meta = Meta{}
	p.Time = 0
	p.qnext = 0
	if debug {
		p.debugAlloc()
	}
	return p
}

// popBatch fills dst with empty buffers as long as the free list has any, and
// returns how many.
func (c *class) popBatch(dst []*Pbuf) int {
	n := min(len(dst), c.n)
	c.n -= n
	c.allocs += uint64(n)
	t := c.tag
	t.kind = KindPool
	dst = dst[:n]
	// From the top down, as that many calls of pop would.
	for i, a := range c.free[c.n : c.n+n] {
		p := at(a)
		p.next = 0
		p.payload = a + PbufSize + Headroom
		p.totLen = 0
		p.length = 0
		p.tag = t
		p.Meta = Meta{}
		p.Time = 0
		p.qnext = 0
		if debug {
			p.debugAlloc()
		}
		dst[n-1-i] = p
	}
	return n
}

// refill gets elements from the backing and reports whether it got any.
func (c *class) refill() bool {
	if c.backing == nil {
		return false
	}
	n := min(len(c.free), backingBatch, c.limit-c.out())
	if n <= 0 {
		return false
	}
	c.n = c.backing.Refill(c.free[:n])
	if debug {
		debugForget(c.free[:c.n]) // others have written to them meanwhile
	}
	return c.n > 0
}

// drain makes room on the free list for one more element, and reports whether
// it could. It can't if more buffers are freed than there are.
func (c *class) drain() bool {
	if c.backing == nil || c.n == 0 {
		return false
	}
	n := min(c.n, backingBatch)
	c.n -= n
	if debug {
		debugForget(c.free[c.n : c.n+n])
	}
	c.backing.Drain(c.free[c.n : c.n+n])
	return true
}

// put takes a buffer of this pool back.
func (pl *Pool) put(p *Pbuf) {
	if p.state&stateLent != 0 {
		pl.putLent(p)
		return
	}
	if debug {
		p.debugFree()
	}
	c := &pl.classes[p.state&stateClass]
	if c.n < len(c.free) || c.drain() {
		c.push(p)
	}
	if debug {
		c.debugShuffle()
	}
}

// push is put with room on the free list.
func (c *class) push(p *Pbuf) {
	p.ref = 0
	c.free[c.n] = addr(p)
	c.n++
	c.frees++
}
