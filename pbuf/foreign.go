package pbuf

import "math/bits"

// Handover marks all buffers of the chain p as held by pool to, before p is
// passed to the thread of that pool. It returns false and changes nothing if a
// buffer is Shared: its counters are not for two threads, so a copy (Clone) is
// needed. After true, the caller may not touch p again.
func Handover(p *Pbuf, to uint8) bool {
	for q := p; q != nil; q = q.Next() {
		if q.Shared() {
			return false
		}
	}
	if debug {
		p.debugHandover(to)
	}
	for q := p; q != nil; q = load(&q.next) {
		q.at = to
	}
	return true
}

// putForeign lists a freed buffer of another pool for its way home.
func (pl *Pool) putForeign(p *Pbuf) {
	pl.foreign[p.home].link(p)
	pl.foreignMask[p.home/64] |= 1 << (p.home % 64)
	pl.foreignN++
	pl.foreignSum++
}

// ForeignLen returns how many freed buffers of other pools this one holds.
func (pl *Pool) ForeignLen() int { return pl.foreignN }

// NextForeign returns the lowest pool ID from from on that this pool holds freed
// buffers of. ok is false if there is none.
func (pl *Pool) NextForeign(from uint8) (home uint8, ok bool) {
	i := int(from / 64)
	m := pl.foreignMask[i] &^ (1<<(from%64) - 1)
	for m == 0 {
		if i++; i == len(pl.foreignMask) {
			return 0, false
		}
		m = pl.foreignMask[i]
	}
	return uint8(i*64 + bits.TrailingZeros64(m)), true
}

// TakeForeign takes up to len(dst) freed buffers of pool home off this pool's
// list and returns how many. They are to be brought to the thread of home and
// given to Return there; nothing else may be done with them.
func (pl *Pool) TakeForeign(home uint8, dst []*Pbuf) int {
	q := &pl.foreign[home]
	n := min(q.n, len(dst))
	for i := range n {
		p := at(q.head)
		q.head = p.qnext
		dst[i] = p
	}
	q.n -= n
	pl.foreignN -= n
	if q.n == 0 {
		*q = Queue{}
		pl.foreignMask[home/64] &^= 1 << (home % 64)
	}
	return n
}

// Return takes back buffers of this pool that TakeForeign took from others.
func (pl *Pool) Return(ps []*Pbuf) {
	for _, p := range ps {
		if debug {
			p.debugReturn(pl)
		}
		if p.state&stateRef != 0 {
			pl.unlink(p)
		}
		pl.put(p)
	}
	pl.returned += uint64(len(ps))
}
