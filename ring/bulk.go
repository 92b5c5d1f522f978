package ring

// PushBulk adds all of vs in order, or nothing and returns false if there is not
// room for all. A producer that waits with it leaves the consumer's line alone
// until whole batches fit. Producer only.
func (r *SPSC[T]) PushBulk(vs []T) bool {
	tail, n := r.prod.load(), uint64(len(vs))
	if r.mask+1-(tail-r.prod.peer) < n {
		r.prod.peer = r.cons.load()
		if r.mask+1-(tail-r.prod.peer) < n {
			return false
		}
	}
	if k := copy(r.slots[tail&r.mask:], vs); k < len(vs) {
		copy(r.slots, vs[k:])
	}
	r.prod.store(tail + n)
	return true
}

// PopBulk moves as many elements as dst has room for to dst, in order, or none
// and returns false if there are fewer. Consumer only.
func (r *SPSC[T]) PopBulk(dst []T) bool {
	head, n := r.cons.load(), uint64(len(dst))
	if r.cons.peer-head < n {
		r.cons.peer = r.prod.load()
		if r.cons.peer-head < n {
			return false
		}
	}
	first := r.slots[head&r.mask:]
	k := copy(dst, first)
	if k < len(dst) {
		copy(dst[k:], r.slots)
	}
	if r.clear {
		clear(first[:k])
		clear(r.slots[:len(dst)-k])
	}
	r.cons.store(head + n)
	return true
}
